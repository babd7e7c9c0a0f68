#include "prompt/limits.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <iterator>
#include <vector>

#include "base/error.h"
#include "base/text/text.h"
#include "prompt/grammar/attention.h"
#include "prompt/grammar/schedule.h"

namespace lowrank::prompt {
namespace {

struct LimitRow {
  std::string_view name;
  std::int64_t PromptLimits::*limit;
  std::string_view what;  // as in "5000 …": what there is too much of
  std::int64_t most = 1'000'000'000;
};

// Deeper brackets than `most` would be read as text.
constexpr std::array<LimitRow, 6> kLimits = {{
    {"tags", &PromptLimits::tags, "network tags"},
    {"depth", &PromptLimits::depth, "levels of nested brackets",
     std::min<std::int64_t>(kMaxEditingDepth, kMaxAttentionDepth)},
    {"pieces", &PromptLimits::pieces, "parts between AND"},
    {"texts", &PromptLimits::texts, "distinct texts across the sampling steps"},
    {"chunks", &PromptLimits::chunks, "chunks of 75 tokens to encode"},
    {"memory", &PromptLimits::memory_mb, "megabytes of memory"},
}};

}  // namespace

PromptLimits parse_prompt_limits(std::string_view text, std::string_view option) {
  PromptLimits limits;
  while (!text.empty()) {
    const std::string_view item = trim(text.substr(0, text.find(',')));
    text.remove_prefix(
        std::min(text.size(), text.find(',') == std::string_view::npos ? text.size() : text.find(',') + 1));
    if (item.empty()) continue;
    const std::size_t equals = item.find('=');
    const std::string_view name = trim(item.substr(0, equals));
    const auto row = std::ranges::find(kLimits, name, &LimitRow::name);
    if (row == kLimits.end())
      throw Error(kBadInput, "{}: unknown limit '{}'; write them as {}.", option, name, prompt_limits_text());
    const auto number =
        equals == std::string_view::npos ? std::nullopt : parse_integer(item.substr(equals + 1));
    if (!number || *number < 0 || *number > row->most)
      throw Error(kBadInput, "{}: {} needs a whole number from 0 to {}, as in {}.", option, name, row->most,
                  prompt_limits_text());
    limits.*row->limit = *number;
  }
  return limits;
}

std::string prompt_limits_text(const PromptLimits& limits) {
  std::vector<std::string> items;
  for (const LimitRow& row : kLimits) items.push_back(fmt::format("{}={}", row.name, limits.*row.limit));
  return fmt::format("{}", fmt::join(items, ","));
}

void check_limit(std::int64_t PromptLimits::*limit, const PromptLimits& limits, std::int64_t asked,
                 std::string_view what) {
  if (asked <= limits.*limit) return;
  const auto row = std::ranges::find(kLimits, limit, &LimitRow::limit);
  throw Error(kBadInput, "{} has {} {}, more than the {} allowed; shorten it{}.", what, asked, row->what,
              limits.*limit,
              asked <= row->most
                  ? fmt::format(", or raise the limit with --prompt-limits {}={}", row->name, asked)
                  : "");
}

std::int64_t bracket_depth(std::string_view text) {
  std::int64_t depth = 0, deepest = 0;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '\\') {
      ++i;
    } else if (text[i] == '(' || text[i] == '[') {
      deepest = std::max(deepest, ++depth);
    } else if (text[i] == ')' || text[i] == ']') {
      depth = std::max<std::int64_t>(0, depth - 1);
    }
  }
  return deepest;
}

}  // namespace lowrank::prompt
