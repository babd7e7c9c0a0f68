#include "prompt/grammar/schedule.h"

#include <gtest/gtest.h>

#include "base/error.h"
#include "prompt/fixtures.h"

namespace lowrank::prompt {

void PrintTo(const ScheduleEntry& entry, std::ostream* out) {
  *out << entry.end_at_step << " \"" << entry.text << '"';
}

namespace {

using Schedule = std::vector<ScheduleEntry>;

Schedule resolve(const std::string& prompt, int steps = 10) {
  return resolve_schedule(prompt, {.base = steps});
}

TEST(Schedule, EqualsReference) {
  const auto cases = read_fixture("prompt-schedules.json")["cases"];
  ASSERT_GT(cases.size(), 250u);
  for (const auto& c : cases) {
    ScheduleSteps steps{.base = c["base_steps"], .use_old_timelines = c["use_old_scheduling"]};
    if (!c["hires_steps"].is_null()) steps.hires = c["hires_steps"].get<int>();
    Schedule expected;
    for (const auto& entry : c["schedule"]) expected.push_back({entry[0], entry[1]});
    EXPECT_EQ(resolve_schedule(c["prompt"].get<std::string>(), steps), expected) << c["prompt"];
  }
}

TEST(Schedule, TableOfTheSpecification) {
  EXPECT_EQ(resolve("a[b:[c:d:2]:1]e"), (Schedule{{1, "abe"}, {2, "ace"}, {10, "ade"}}));
  EXPECT_EQ(resolve("((a][:b:c [d:3]"), (Schedule{{3, "((a][:b:c "}, {10, "((a][:b:c d"}}));
  EXPECT_EQ(resolve("a|b [c:d:5]"), (Schedule{{10, "a|b [c:d:5]"}}));
  EXPECT_EQ(resolve("[(a:b:c):d:3]"), (Schedule{{10, "[(a:b:c):d:3]"}}));
  EXPECT_EQ(resolve("[c:d:5]\\"), (Schedule{{10, "[c:d:5]\\"}}));
  EXPECT_EQ(resolve("[c:d:5]\\\nx"), (Schedule{{10, "[c:d:5]\\\nx"}}));
}

TEST(Schedule, NumberFormsOfWhen) {
  EXPECT_EQ(resolve("[a:b:1e400]"), (Schedule{{10, "a"}}));
  EXPECT_EQ(resolve("[a:b:-1e400]"), (Schedule{{10, "b"}}));
  EXPECT_EQ(resolve("[a:b:5e-1]").size(), 1u);  // no point: step 0.5, truncated to 0
  EXPECT_EQ(resolve("[a:b:0.5e0]"), (Schedule{{5, "a"}, {10, "b"}}));
  EXPECT_EQ(resolve("[a:b:2e]"), (Schedule{{10, "[a:b:2e]"}}));
  EXPECT_EQ(resolve("[a:b:.]"), (Schedule{{10, "[a:b:.]"}}));
}

TEST(Schedule, EntryOfACallCoversOneCallMoreThanItsSteps) {
  const Schedule schedule = resolve("[a:b:5]");
  for (int call = 0; call <= 5; ++call) EXPECT_EQ(entry_for_call(schedule, call), 0u) << call;
  for (int call = 6; call <= 10; ++call) EXPECT_EQ(entry_for_call(schedule, call), 1u) << call;
  EXPECT_EQ(entry_for_call(schedule, 11), 0u);  // more calls than steps: the first entry again
}

TEST(Schedule, AlternationUsesItsFirstTextTwice) {
  const Schedule schedule = resolve("[a|b]");
  const std::string expected = "aababababa";
  for (int call = 0; call < 10; ++call) {
    EXPECT_EQ(schedule[entry_for_call(schedule, call)].text,
              expected.substr(static_cast<std::size_t>(call), 1))
        << call;
  }
}

// A prompt without the construct characters is one entry, whatever else is in it.
TEST(Schedule, NestingBeyondTheLimitIsText) {
  const std::size_t depth = 100'000;
  const std::string open(depth, '[');
  const std::string close(depth, ']');
  EXPECT_EQ(resolve(open + "a" + close), (Schedule{{10, open + "a" + close}}));
  const Schedule inner = resolve(open + "a:b:5]" + close);
  ASSERT_EQ(inner.size(), 2u);
  EXPECT_EQ(inner[0].text, std::string(depth - 1, '[') + "a" + close);
}

TEST(Schedule, HostileTextsTakeLinearTime) {
  for (const char* unit : {"[", "(", "[:", "[a:", "[a|", "(a:", "[(", "[a:b:5", "[a]", "(a)", "[:1", "]",
                           "[[a:b:3]", "(:", "[a:b:3]", "[:      "}) {
    std::string text;
    while (text.size() < 100'000) text += unit;
    EXPECT_FALSE(resolve(text).empty()) << unit;
    EXPECT_FALSE(resolve(text + std::string(100'000, ']')).empty()) << unit;
  }
}

TEST(Schedule, RefusesMoreTextThanFits) {
  const std::string prompt = "[a|b]" + std::string(100'000, 'x');
  EXPECT_NO_THROW(resolve(prompt, 150));
  EXPECT_THROW(resolve(prompt, 1000), Error);
}

}  // namespace
}  // namespace lowrank::prompt
