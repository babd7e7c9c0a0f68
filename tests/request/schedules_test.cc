#include "request/training/schedules.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <iterator>
#include <nlohmann/json.hpp>
#include <set>
#include <string>
#include <vector>

#include "base/error.h"
#include "request/training/optimisers.h"

namespace lowrank::request {
namespace {

// 4 warm-up steps of 10. Behind the warm-up these are the rates of transformers' get_linear_ and
// get_cosine_schedule_with_warmup(optimizer, 4, 10); in it ours is one step ahead, as theirs wastes a step at rate 0.
TEST(Schedules, FactorsEqualThoseOfTransformers) {
  const auto factors = [](const char* name) {
    const LearningRateSchedule schedule(name, 10, 4);
    std::vector<double> all;
    for (int step = 0; step < 10; ++step) all.push_back(schedule.factor(step));
    return all;
  };
  const auto near = [](const std::vector<double>& expected) {
    return ::testing::Pointwise(::testing::DoubleNear(1e-9), expected);
  };
  EXPECT_THAT(factors("constant"), near({0.25, 0.5, 0.75, 1, 1, 1, 1, 1, 1, 1}));
  EXPECT_THAT(factors("constant_with_warmup"), near(factors("constant")));
  EXPECT_THAT(factors("linear"),
              near({0.25, 0.5, 0.75, 1, 1, 0.8333333333, 0.6666666667, 0.5, 0.3333333333, 0.1666666667}));
  EXPECT_THAT(factors("cosine"), near({0.25, 0.5, 0.75, 1, 1, 0.9330127019, 0.75, 0.5, 0.25, 0.0669872981}));
}

// Those of diffusers, transformers and PyTorch (tools/fixtures/make_schedules.py). In the warm-up ours is one step ahead.
TEST(Schedules, FactorsEqualThoseOfThePackages) {
  std::ifstream file(LOWRANK_TEST_FIXTURES "/training/schedules.json");
  std::set<std::string> compared;
  for (const auto& c : nlohmann::json::parse(file)) {
    const std::string name = c["name"];
    const std::int64_t warmup = c["warmup"], steps = c["steps"];
    const LearningRateSchedule schedule(name, steps, warmup,
                                        {.cycles = c.value("cycles", std::int64_t{1}),
                                         .power = c.value("power", 1.0),
                                         .timescale = c.value("timescale", std::int64_t{0}),
                                         .least = c.value("min_ratio", 0.0),
                                         .peak = c["rate"]});
    const std::vector<double> theirs = c["factors"];
    for (std::int64_t step = 0; step < std::ssize(theirs); ++step) {
      const bool is_ahead = step < warmup && name != "one_cycle";
      EXPECT_NEAR(schedule.factor(step), theirs[static_cast<std::size_t>(is_ahead ? step + 1 : step)], 1e-9)
          << name << ", warm-up " << warmup << ", step " << step;
    }
    compared.insert(name);
  }
  for (const auto& row : schedule_table())
    EXPECT_TRUE(compared.contains(std::string(row.name))) << row.name << " is compared with nothing";
}

// In a run of another length the same step has another factor exactly where the row says so.
TEST(Schedules, DependOnTheLengthWhereTheirRowSaysSo) {
  for (const auto& row : schedule_table()) {
    bool differs = false;
    for (int step = 0; step < 10; ++step)
      differs = differs || LearningRateSchedule(row.name, 10, 2).factor(step) !=
                               LearningRateSchedule(row.name, 20, 2).factor(step);
    EXPECT_EQ(differs, row.depends_on_length) << row.name;
  }
}

TEST(Schedules, NamesAreUniqueAndExplainedAndUnknownOnesRefused) {
  std::set<std::string_view> names;
  for (const auto& row : schedule_table()) {
    EXPECT_TRUE(names.insert(row.name).second) << row.name;
    EXPECT_FALSE(row.help.empty()) << row.name;
    EXPECT_EQ(&schedule(row.name), &row);
  }
  for (const auto& row : optimiser_table()) {
    EXPECT_TRUE(names.insert(row.name).second) << row.name;
    EXPECT_FALSE(row.help.empty()) << row.name;
  }
  EXPECT_EQ(optimiser("adamw").name, "AdamW");
  // kohya takes a class of any package by its full name.
  EXPECT_EQ(optimiser("came_pytorch.CAME").name, "CAME");
  EXPECT_EQ(optimiser("prodigyplus.ProdigyPlusScheduleFree").name, "ProdigyPlusScheduleFree");
  EXPECT_THROW(schedule("warp"), Error);
  EXPECT_THROW(optimiser("warp"), Error);
}

std::string error_of_arguments(std::string_view name, std::string_view chosen,
                               std::optional<double> decay = {}) {
  try {
    optimiser_arguments(name, chosen, decay);
  } catch (const Error& error) {
    return error.what();
  }
  return "";
}

TEST(OptimiserArguments, AreReadAsKohyasUsersWriteThem) {
  for (const char* text : {"betas=0.8,0.95 weight_decay=0.1", "betas=(0.8, 0.95)  weight_decay=1e-1",
                           "weight_decay=.1 betas=[0.8,0.95]"}) {
    const auto arguments = optimiser_arguments("AdamW", text, std::nullopt);
    EXPECT_EQ(arguments.number("betas", 0), 0.8) << text;
    EXPECT_EQ(arguments.number("betas", 1), 0.95);
    EXPECT_EQ(arguments.number("weight_decay"), 0.1);
    EXPECT_EQ(arguments.number("eps"), 1e-8);
    EXPECT_EQ(arguments.chosen().at("betas"), "0.8,0.95");
  }
  const auto prodigy = optimiser_arguments("prodigy", "decouple=False beta3=0.9 growth_rate=1.02", 0.3);
  EXPECT_FALSE(prodigy.is_on("decouple"));
  EXPECT_EQ(prodigy.number_or_none("beta3"), 0.9);
  EXPECT_EQ(prodigy.number("weight_decay"), 0.3);
  EXPECT_FALSE(optimiser_arguments("prodigy", "beta3=None", std::nullopt).number_or_none("beta3"));
}

TEST(OptimiserArguments, AreRefusedByName) {
  using ::testing::AllOf;
  using ::testing::HasSubstr;
  EXPECT_THAT(error_of_arguments("Lion", "momentum=0.9"),
              AllOf(HasSubstr("momentum"), HasSubstr("Lion"), HasSubstr("betas, weight_decay")));
  EXPECT_THAT(error_of_arguments("Lion", "betas"), HasSubstr("name=value"));
  EXPECT_THAT(error_of_arguments("Lion", "betas=0.9"), AllOf(HasSubstr("betas"), HasSubstr("2 numbers")));
  EXPECT_THAT(error_of_arguments("Lion", "betas=0.9,1"), HasSubstr("between 0 and 1"));
  EXPECT_THAT(error_of_arguments("Lion", "betas=0.9,nan"), HasSubstr("a number"));
  EXPECT_THAT(error_of_arguments("Lion", "betas=None"), HasSubstr("a value"));
  EXPECT_THAT(error_of_arguments("SGD", "nesterov=1"), HasSubstr("True or False"));
  EXPECT_THAT(error_of_arguments("Muon", "adjust_lr_fn=best"), HasSubstr("match_rms_adamw"));
  EXPECT_THAT(error_of_arguments("AdamW", "weight_decay=0.1", 0.2),
              AllOf(HasSubstr("--weight-decay"), HasSubstr("give one")));
  EXPECT_EQ(error_of_arguments("AdamW", "weight_decay=0.1", 0.1), "");
}

}  // namespace
}  // namespace lowrank::request
