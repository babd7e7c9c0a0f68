// Where a process stands among those that train together. That they do so is a test of the program
// (tests/cli/training_run_test.py).
#include "training/run/parallel/process_group.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>

#include "base/error.h"

namespace lowrank::training {
namespace {

using ::testing::HasSubstr;
using Variables = std::map<std::string, std::string>;

ParallelPlace place_of(const Variables& variables) {
  return parallel_place([&](const char* name) -> const char* {
    const auto found = variables.find(name);
    return found == variables.end() ? nullptr : found->second.c_str();
  });
}

std::string error_of(const Variables& variables) {
  try {
    place_of(variables);
  } catch (const Error& error) {
    return error.what();
  }
  return "";
}

TEST(ParallelPlace, IsReadFromTorchrunsVariables) {
  EXPECT_EQ(place_of({}).processes, 1);
  EXPECT_EQ(place_of({{"WORLD_SIZE", "1"}}).processes, 1);
  EXPECT_EQ(place_of({{"RANK", "3"}}).processes, 1) << "some other program's";
  const auto place =
      place_of({{"WORLD_SIZE", "4"}, {"RANK", "3"}, {"MASTER_ADDR", "10.0.0.1"}, {"MASTER_PORT", "1234"}});
  EXPECT_EQ(place.rank, 3);
  EXPECT_EQ(place.processes, 4);
  EXPECT_EQ(place.address, "10.0.0.1");
  EXPECT_EQ(place.port, 1234);
}

TEST(ParallelPlace, WhatIsMissingOrWrongIsNamed) {
  EXPECT_THAT(error_of({{"WORLD_SIZE", "many"}}), HasSubstr("WORLD_SIZE is 'many'"));
  EXPECT_THAT(error_of({{"WORLD_SIZE", "0"}}), HasSubstr("WORLD_SIZE is '0'"));
  EXPECT_THAT(error_of({{"WORLD_SIZE", "2"}}), HasSubstr("RANK is not set"));
  EXPECT_THAT(error_of({{"WORLD_SIZE", "2"}, {"RANK", "2"}}), HasSubstr("RANK is '2'"));
  EXPECT_THAT(error_of({{"WORLD_SIZE", "2"}, {"RANK", "1"}}), HasSubstr("MASTER_ADDR is not set"));
  EXPECT_THAT(error_of({{"WORLD_SIZE", "2"}, {"RANK", "1"}, {"MASTER_ADDR", "localhost"}}),
              HasSubstr("MASTER_PORT is not set"));
  EXPECT_THAT(
      error_of({{"WORLD_SIZE", "2"}, {"RANK", "1"}, {"MASTER_ADDR", "localhost"}, {"MASTER_PORT", "99999"}}),
      HasSubstr("MASTER_PORT is '99999'"));
}

}  // namespace
}  // namespace lowrank::training
