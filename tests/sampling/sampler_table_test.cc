#include "sampling/sampler_table.h"

#include <gtest/gtest.h>

namespace lowrank::sampling {
namespace {

struct Resolution {
  const char *sampler, *schedule, *expected_sampler, *expected_schedule;
  bool sampler_known = true, schedule_known = true;
};

void expect_resolution(const Resolution& r, AutomaticSchedule automatic) {
  const auto choice = resolve_sampler(r.sampler, r.schedule, automatic);
  EXPECT_EQ(choice.sampler->label, r.expected_sampler) << r.sampler << " + " << r.schedule;
  EXPECT_EQ(choice.schedule->label, r.expected_schedule) << r.sampler << " + " << r.schedule;
  EXPECT_EQ(choice.sampler_known, r.sampler_known) << r.sampler;
  EXPECT_EQ(choice.schedule_known, r.schedule_known) << r.schedule;
}

TEST(SamplerTable, KeepsA1111sOrderBeforeOurOwnAndFindsEveryNameAndAliasWithoutCase) {
  EXPECT_EQ(sampler_table().front().label, "DPM++ 2M");
  EXPECT_EQ(sampler_table()[19].label, "LCM");  // the last of A1111's
  EXPECT_EQ(sampler_table().size(), 21U);
  for (const auto& row : sampler_table()) {
    EXPECT_EQ(find_sampler(row.label), &row);
    EXPECT_FALSE(row.aliases[0].empty()) << row.label;
    for (const auto alias : row.aliases) {
      EXPECT_TRUE(alias.empty() || find_sampler(alias) == &row) << alias;
    }
    EXPECT_TRUE(row.schedule.empty() || find_schedule(row.schedule) != nullptr) << row.label;
  }
  EXPECT_EQ(find_sampler("k_EULER_ancestral"), find_sampler("Euler a"));
  EXPECT_EQ(find_sampler("euler A"), find_sampler("Euler a"));
  EXPECT_EQ(find_sampler("Euler b"), nullptr);
  EXPECT_EQ(find_sampler(""), nullptr);
}

TEST(SamplerTable, NamesMayCarryAScheduler) {
  for (const Resolution& r : std::initializer_list<Resolution>{
           {"DPM++ 2M Karras", "", "DPM++ 2M", "Automatic"},  // its automatic one
           {"DPM++ 2M SDE Karras", "", "DPM++ 2M SDE", "Karras"},
           {"DPM++ 2M SDE Exponential", "", "DPM++ 2M SDE", "Automatic"},
           {"LMS Karras", "", "LMS", "Karras"},
           {"Euler a SGMUniform", "", "Euler a", "SGM Uniform"},
           {"Euler karras", "", "Euler", "Karras"},
           {"Euler Align Your Steps", "", "Euler", "Align Your Steps"},
           {"Euler", "Karras", "Euler", "Karras"},
           {"Euler", "sgm_uniform", "Euler", "SGM Uniform"},
           {"Euler a", "Uniform", "Euler a", "Uniform"},
           {"Euler Automatic", "", "Euler", "Automatic"},
           {"", "", "DPM++ 2M", "Automatic"},
           {"Nonesuch", "Karras", "DPM++ 2M", "Automatic", false},
           {"Euler", "Nonesuch", "Euler", "Automatic", true, false},
           {"Euler KARRAS", "", "DPM++ 2M", "Automatic", false},
       }) {
    expect_resolution(r, AutomaticSchedule::kFold);
  }
}

TEST(SamplerTable, MakingAPictureKeepsTheNamedScheduler) {
  expect_resolution({"DPM++ 2M Karras", "", "DPM++ 2M", "Karras"}, AutomaticSchedule::kKeepNamed);
  expect_resolution({"DPM++ 2M", "Karras", "DPM++ 2M", "Karras"}, AutomaticSchedule::kKeepNamed);
}

// A1111's loop finds "Uniform" before "SGM Uniform" and is left with the unknown sampler "Euler a SGM".
TEST(SamplerTable, SgmUniformWithABlankIsA1111sKnownTrap) {
  expect_resolution({"Euler a SGM Uniform", "", "DPM++ 2M", "Uniform", false}, AutomaticSchedule::kFold);
}

TEST(SamplerTable, FlagsAreA1111s) {
  const auto labels = [](auto flag) {
    std::vector<std::string_view> found;
    for (const auto& row : sampler_table()) {
      if (flag(row)) found.push_back(row.label);
    }
    return found;
  };
  using Labels = std::vector<std::string_view>;
  EXPECT_EQ(labels([](const auto& r) { return r.second_order; }),
            (Labels{"DPM++ SDE", "DPM++ 2S a", "Heun", "DPM2", "DPM2 a", "Restart"}));
  EXPECT_EQ(labels([](const auto& r) { return r.brownian; }),
            (Labels{"DPM++ SDE", "DPM++ 2M SDE", "DPM++ 2M SDE Heun", "DPM++ 3M SDE"}));
  EXPECT_EQ(labels([](const auto& r) { return r.discard_next_to_last_sigma; }),
            (Labels{"DPM++ 3M SDE", "DPM2", "DPM2 a"}));
  EXPECT_EQ(labels([](const auto& r) { return r.uses_ensd; }),
            (Labels{"DPM++ 2S a", "Euler a", "DPM2 a", "DPM fast", "DPM adaptive"}));
  EXPECT_EQ(labels([](const auto& r) { return r.is_timestep; }),
            (Labels{"DDIM", "DDIM CFG++", "PLMS", "UniPC", "TCD"}));
  EXPECT_EQ(labels([](const auto& r) { return r.has_churn; }), (Labels{"Euler", "Heun", "DPM2"}));
}

}  // namespace
}  // namespace lowrank::sampling
