#include "request/training/optimisers.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <limits>

#include "base/error.h"
#include "base/text/text.h"

namespace lowrank::request {
namespace {

#define LOWRANK_OPTIMISER(type, name, arguments, help) {name, arguments, help},
constexpr OptimiserRow kOptimisers[] = {
#include "request/training/optimiser_rows.inc"
};
#undef LOWRANK_OPTIMISER

constexpr double kInfinity = std::numeric_limits<double>::infinity();

// Whatever the optimiser: arguments of one name have one range. Both ends belong to it.
struct ArgumentRange {
  std::string_view name;
  double min, max;
};
constexpr double kBelowOne = 1 - 1e-9;
constexpr ArgumentRange kRanges[] = {
    {"betas", 0, kBelowOne},       {"beta1", 0, kBelowOne},     {"beta3", 0, kBelowOne},
    {"momentum", 0, kBelowOne},    {"dampening", 0, kBelowOne}, {"eps", 0, 1},
    {"weight_decay", 0, 1},        {"d0", 1e-30, 1e3},          {"d_coef", 1e-6, 1e6},
    {"growth_rate", 1, kInfinity}, {"slice_p", 1, 1e9},         {"clip_threshold", 1e-6, 1e6},
    {"decay_rate", -10, -1e-6},    {"warmup_steps", 0, 1e9},    {"r", 0, 10},
    {"weight_lr_power", 0, 10},    {"prodigy_steps", 0, 1e9},   {"schedulefree_c", 0, 1e6},
    {"ns_steps", 1, 99},           {"min_8bit_size", 0, 1e12},
};

// Arguments that are words; their value is the place in the list.
constexpr std::string_view kRateAdjustments[] = {"original", "match_rms_adamw", "spectral_unclamped"};
std::span<const std::string_view> words_of(std::string_view name) {
  return name == "adjust_lr_fn" ? std::span<const std::string_view>(kRateAdjustments)
                                : std::span<const std::string_view>();
}

// "(0.9, 0.99)" and "0.9,0.99" alike.
std::vector<std::string_view> parts_of(std::string_view value) {
  value = trim(value);
  if (value.size() > 1 &&
      ((value.front() == '(' && value.back() == ')') || (value.front() == '[' && value.back() == ']')))
    value = value.substr(1, value.size() - 2);
  std::vector<std::string_view> parts;
  for (;;) {
    const std::size_t comma = value.find(',');
    parts.push_back(trim(value.substr(0, comma)));
    if (comma == std::string_view::npos) return parts;
    value.remove_prefix(comma + 1);
  }
}

// Parted by blanks; those within brackets, "betas=(0.9, 0.99)", belong to their word.
std::vector<std::string_view> words(std::string_view text) {
  std::vector<std::string_view> all;
  for (text = trim(text); !text.empty(); text = trim(text)) {
    std::size_t end = 0;
    for (int depth = 0; end < text.size(); ++end) {
      const char c = text[end];
      depth += c == '(' || c == '[' ? 1 : c == ')' || c == ']' ? -1 : 0;
      if (depth <= 0 && (c == ' ' || c == '\t' || c == '\n')) break;
    }
    all.push_back(text.substr(0, end));
    text.remove_prefix(end);
  }
  return all;
}

bool is_switch(std::string_view value) {
  return value == "True" || value == "False";
}

std::vector<double> read(std::string_view name, std::string_view value, std::string_view standard) {
  const auto refuse = [&](std::string_view what) {
    throw Error(kBadInput, "--optimizer-args: {} is '{}', but must be {}, such as {}={}.", name, value, what,
                name, standard);
  };
  const std::string low = lower(trim(value));
  if (low == "none") {
    if (standard != "None") refuse("a value");
    return {};
  }
  if (is_switch(standard)) {
    if (low != "true" && low != "false") refuse("True or False");
    return {low == "true" ? 1.0 : 0.0};
  }
  if (const auto choices = words_of(name); !choices.empty()) {
    const auto found = std::ranges::find(choices, low);
    if (found == choices.end()) refuse(fmt::format("one of {}", fmt::join(choices, ", ")));
    return {static_cast<double>(found - choices.begin())};
  }
  const auto parts = parts_of(value);
  const std::size_t expected = standard == "None" ? 1 : parts_of(standard).size();
  if (parts.size() != expected)
    refuse(expected == 1 ? "one number" : fmt::format("{} numbers parted by commas", expected));
  std::vector<double> numbers;
  for (const auto part : parts) {
    const auto number = lower(part) == "inf" ? kInfinity : parse_number(part);
    if (!number) refuse("a number");
    for (const auto& range : kRanges)
      if (range.name == name && !(*number >= range.min && *number <= range.max))
        throw Error(kBadInput, "--optimizer-args: {} is '{}', but must be between {} and {}.", name, value,
                    range.min, range.max == kBelowOne ? "1 (exclusive)" : fmt::format("{}", range.max));
    numbers.push_back(*number);
  }
  return numbers;
}

// As Python writes it: two ways of writing one value are one text.
std::string spelled(std::string_view name, const std::vector<double>& numbers, std::string_view standard) {
  if (numbers.empty()) return "None";
  if (is_switch(standard)) return numbers.front() != 0 ? "True" : "False";
  if (const auto choices = words_of(name); !choices.empty())
    return std::string(choices[static_cast<std::size_t>(numbers.front())]);
  return fmt::format("{}", fmt::join(numbers, ","));
}

}  // namespace

std::span<const OptimiserRow> optimiser_table() {
  return kOptimisers;
}

std::vector<std::string> optimiser_names() {
  std::vector<std::string> names;
  for (const auto& row : kOptimisers) names.emplace_back(row.name);
  return names;
}

const OptimiserRow& optimiser(std::string_view name) {
  const std::string_view own = name.substr(name.find_last_of('.') + 1);  // npos + 1: all of it
  for (const auto& row : kOptimisers)
    if (lower(row.name) == lower(own)) return row;
  throw Error(kBadInput, "unknown optimiser '{}'; choose one of {}.", name,
              fmt::join(optimiser_names(), ", "));
}

OptimiserArguments::OptimiserArguments(const OptimiserRow& row, std::string_view chosen) : row_(row) {
  for (const auto pair : words(row.arguments)) {
    const std::size_t equals = pair.find('=');
    const auto name = pair.substr(0, equals), standard = pair.substr(equals + 1);
    values_.emplace(name, read(name, standard, standard));
  }
  for (const auto pair : words(chosen)) {
    const std::size_t equals = pair.find('=');
    if (equals == std::string_view::npos || equals == 0)
      throw Error(kBadInput, "--optimizer-args: '{}' is not of the form name=value, such as {}.", pair,
                  words(row.arguments).front());
    choose(pair.substr(0, equals), pair.substr(equals + 1));
  }
}

void OptimiserArguments::choose(std::string_view name, std::string_view value) {
  std::vector<std::string_view> known;
  for (const auto pair : words(row_.arguments)) {
    const std::size_t equals = pair.find('=');
    known.push_back(pair.substr(0, equals));
    if (known.back() != name) continue;
    const auto standard = pair.substr(equals + 1);
    auto numbers = read(name, value, standard);
    chosen_[std::string(name)] = spelled(name, numbers, standard);
    values_.find(name)->second = std::move(numbers);
    return;
  }
  throw Error(kBadInput, "--optimizer-args: {} has no argument '{}'; it takes {}.", row_.name, name,
              fmt::join(known, ", "));
}

double OptimiserArguments::number(std::string_view name, std::size_t place) const {
  const auto found = values_.find(name);
  LOWRANK_CHECK(found != values_.end() && place < found->second.size());
  return found->second[place];
}

std::optional<double> OptimiserArguments::number_or_none(std::string_view name) const {
  const auto found = values_.find(name);
  LOWRANK_CHECK(found != values_.end());
  if (found->second.empty()) return std::nullopt;
  return found->second.front();
}

OptimiserArguments optimiser_arguments(std::string_view name, std::string_view chosen,
                                       std::optional<double> weight_decay) {
  const OptimiserRow& row = optimiser(name);
  OptimiserArguments arguments(row, chosen);
  if (!weight_decay) return arguments;
  if (arguments.chosen().contains("weight_decay") && arguments.number("weight_decay") != *weight_decay)
    throw Error(kBadInput,
                "--weight-decay is {}, but --optimizer-args says weight_decay={}; give one of the two.",
                *weight_decay, arguments.number("weight_decay"));
  arguments.choose("weight_decay", fmt::format("{}", *weight_decay));
  return arguments;
}

bool finds_its_rate(const OptimiserRow& row) {
  return row.arguments.find(" d0=") != std::string_view::npos;
}

}  // namespace lowrank::request
