#include "request/schedules.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>

#include "base/error.h"
#include "request/optimisers.h"

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
  EXPECT_THROW(schedule("warp"), Error);
  EXPECT_THROW(optimiser("warp"), Error);
}

}  // namespace
}  // namespace lowrank::request
