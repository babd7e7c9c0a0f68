#include "pipeline/generate/request_check.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/error.h"
#include "pipeline/tiny_session.h"
#include "request/series/series.h"

namespace lowrank {
namespace {

using request::FaultList;
using request::GenerationRequest;
using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;

std::string fault_of(const std::vector<request::GenerationRequest>& requests) {
  try {
    pipeline::check_requests(requests, testing::tiny_resources());
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), kBadInput);
    return error.what();
  }
  return "";
}

TEST(FaultList, TellsEachFactOnceAndASharedRemedyOnce) {
  request::FaultList faults;
  faults.add("there is no A; look there.");
  faults.add("there is no A; look there.");
  faults.add("B is broken.");
  faults.add("there is no C; look there.");
  faults.add("");
  faults.add_from([] {});
  faults.add_from([] { throw Error(kNotFound, "there is no D: did you mean E?"); });
  EXPECT_EQ(faults.sentence(),
            "there is no A; there is no C; look there; B is broken; there is no D: did you mean E?");
  EXPECT_THROW(faults.throw_if_any(), Error);
}

TEST(FaultList, GoesOnAfterEverythingButACancel) {
  request::FaultList faults;
  EXPECT_THROW(faults.add_from([] { throw Error(kCancelled, "stopped."); }), Error);
  EXPECT_TRUE(faults.empty());
  faults.throw_if_any();
  for (int i = 0; i < 30; ++i) faults.add(fmt::format("number {}.", i));
  EXPECT_THAT(faults.sentence(), HasSubstr("and 10 more."));
}

TEST(RequestCheck, FindsNothingWrongWithWhatCanBeDrawn) {
  request::GenerationRequest request = testing::tiny_request("a fox <lora:lora_attn:1>");
  request.enable_hr = true;
  request.refiner_checkpoint = "None";
  EXPECT_EQ(fault_of({request}), "");
}

TEST(RequestCheck, NamesEverythingThatIsWrongInAllRequests) {
  request::GenerationRequest one = testing::tiny_request("a <lora:first:1> <lora:second:1>"),
                             two = testing::tiny_request();
  one.sampler = "Bogus";
  one.styles = {"unheard-of"};
  two.checkpoint = "nowhere";
  two.steps = 5000;
  two.enable_hr = true;
  two.hr_upscaler = "Nothing of the kind";
  EXPECT_THAT(fault_of({one, two}), AllOf(HasSubstr("'first'"), HasSubstr("'second'"), HasSubstr("'Bogus'"),
                                          HasSubstr("'unheard-of'"), HasSubstr("'nowhere'"),
                                          HasSubstr("5000"), HasSubstr("'Nothing of the kind'")));
}

TEST(RequestCheck, LeavesAloneWhatTheRequestAllows) {
  request::GenerationRequest request = testing::tiny_request("a <lora:first:1>");
  request.allow_missing_loras = true;
  EXPECT_EQ(fault_of({request}), "");
  request.allow_missing_loras = false;
  EXPECT_THAT(fault_of({request}), HasSubstr("'first'"));
  request.disable_extra_networks = true;
  EXPECT_EQ(fault_of({request}), "");
}

// A plot whose cells would all be alike without a word is none.
TEST(RequestCheck, WhatAPlotComparesMustBeThere) {
  const auto cell = [](const std::string& prompt) {
    request::GenerationRequest request = testing::tiny_request(prompt);
    request.allow_missing_loras = true;
    return request;
  };
  const auto fault = [](const std::vector<request::GenerationRequest>& cells, bool compares) -> std::string {
    try {
      pipeline::check_requests(cells, testing::tiny_resources(), {}, compares);
    } catch (const Error& error) {
      return error.what();
    }
    return "";
  };
  const std::vector names = {cell("a fox"), cell("a <lora:first:1>"), cell("a <lora:second:1>")};
  EXPECT_THAT(fault(names, true), AllOf(HasSubstr("'first'"), HasSubstr("'second'")));
  EXPECT_EQ(fault(names, false), "");
  EXPECT_THAT(fault({cell("a <lora:first:1>"), cell("a <lora:first:0.5>")}, true), HasSubstr("'first'"));
  EXPECT_EQ(fault({cell("a fox <lora:first:1>"), cell("a cat <lora:first:1>")}, true), "");
}

// Values that do not parse and names that stand for nothing, in one sentence.
TEST(RequestCheck, TellsWhatTheSeriesFound) {
  request::FaultList faults;
  const auto series = request::xyz_series(
      testing::tiny_request("a fox"),
      {.axes = {request::parse_axis("Steps", "1, many"), request::parse_axis("Sampler", "Bogus"),
                request::parse_axis("Size", "63x64, 100000x8")}},
      100, &faults);
  try {
    pipeline::check_requests(series.requests, testing::tiny_resources(), faults);
    FAIL();
  } catch (const Error& error) {
    EXPECT_THAT(error.what(), AllOf(HasSubstr("'many'"), HasSubstr("'Bogus'"), HasSubstr("63 pixels"),
                                    HasSubstr("'100000x8'")));
  }
}

TEST(Series, NamesAllCellsThatDoNotFit) {
  const auto base = testing::tiny_request("a fox");
  try {
    request::xyz_series(base,
                        {.axes = {request::parse_axis("Steps", "1, many, few"),
                                  request::parse_axis("Prompt S/R", "dog, cat"),
                                  {}}},
                        100);
    FAIL();
  } catch (const Error& error) {
    EXPECT_THAT(error.what(), AllOf(HasSubstr("many"), HasSubstr("few"), HasSubstr("'dog'")));
  }
}

TEST(Series, NamesAllLinesThatCannotBeRead) {
  try {
    request::prompts_series("a fox\n--what 1\na cat\n--prompt a --steps many\n", testing::tiny_request(""),
                            {}, 100);
    FAIL();
  } catch (const Error& error) {
    EXPECT_THAT(error.what(),
                AllOf(HasSubstr("line 2"), HasSubstr("line 4"), HasSubstr("many"), Not(HasSubstr("line 3"))));
  }
}

}  // namespace
}  // namespace lowrank
