// Prompt editing `[from:to:when]` and alternation `[a|b]`, resolved into a list of texts with the last step
// of each.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace lowrank::prompt {

// A construct nested deeper than this is read as ordinary text.
inline constexpr int kMaxEditingDepth = 1000;

// Most bytes of text, over all entries, that a schedule may need: 150 steps of a 100 kB prompt.
inline constexpr std::size_t kMaxScheduleBytes = 16u << 20;

struct ScheduleEntry {
  int end_at_step = 0;  // used up to and including this step, counted from 1 in prompt steps
  std::string text;     // attention brackets and escapes still inside
  friend bool operator==(const ScheduleEntry&, const ScheduleEntry&) = default;
};

// Whether something is in the text up to and including a step; a list of them is read as a schedule is.
struct Presence {
  int end_at_step = 0;
  bool is_there = false;
  friend bool operator==(const Presence&, const Presence&) = default;
};
// At model call `call`, from 0. An empty list means always.
bool is_there(const std::vector<Presence>& times, int call);

// Prompt steps count model calls: for a second-order sampler they are twice the sampling steps.
struct ScheduleSteps {
  int base = 20;                  // of the first pass
  std::optional<int> hires = {};  // set while resolving for the hires pass: its own count
  // "Use old prompt editing timelines": value < 1 is a fraction; hires is not considered
  bool use_old_timelines = false;
};

// All boundaries in order with the text at each; the last one is the pass's last step. Equal neighbours are
// not merged. A text that has no reading as editing is returned whole. Linear in text length for parsing,
// times the number of boundaries for the result. Source: A1111's get_learned_conditioning_prompt_schedules,
// read deterministically.
std::vector<ScheduleEntry> resolve_schedule(std::string_view prompt, const ScheduleSteps& steps);

// The entry that model call `call` (from 0) uses: the first whose end_at_step is not below it, and the first
// entry of all when there are more calls than steps. Requires a non-empty schedule.
std::size_t entry_for_call(const std::vector<ScheduleEntry>& schedule, int call);

}  // namespace lowrank::prompt
