#include "request/option.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <charconv>
#include <type_traits>

#include "base/error.h"
#include "base/text/text.h"
#include "request/serve_options.h"
#include "request/training/base_options.h"
#include "request/training/lora_options.h"

namespace lowrank::request {
namespace {

template <class Value>
struct Unwrapped {
  using type = Value;
};
template <class Value>
struct Unwrapped<std::optional<Value>> {
  using type = Value;
};

std::string text_of(bool value) {
  return value ? "true" : "false";
}
std::string text_of(const std::string& value) {
  return value;
}
std::string text_of(const std::filesystem::path& value) {
  return value.string();
}
template <class Number>
std::string text_of(const Number& value) {
  return fmt::format("{}", value);
}
template <class Value>
std::string text_of(const std::optional<Value>& value) {
  return value ? text_of(*value) : std::string();
}

template <class Job>
void check_range(const OptionOf<Job>& row, double value, std::string_view text, std::string_view name) {
  if (value >= row.min && value <= row.max) return;
  if (row.max == std::numeric_limits<double>::infinity())
    throw Error(kBadInput, "{} is {}, but must be at least {}.", name, text, row.min);
  throw Error(kBadInput, "{} is {}, but must be between {} and {}.", name, text, row.min, row.max);
}

template <class Whole>
Whole whole_number(std::string_view text, std::string_view name) {
  Whole value = 0;
  const std::string_view t = trim(text);
  const auto [stop, code] = std::from_chars(t.data(), t.data() + t.size(), value);
  if (code == std::errc::result_out_of_range && stop == t.data() + t.size())
    throw Error(kBadInput, "{} is {}, which is out of range.", name, text);
  if (code != std::errc() || stop != t.data() + t.size())
    throw Error(kBadInput, "{} is '{}', but must be a whole number.", name, text);
  return value;
}

template <class Job>
void check_choice(const OptionOf<Job>& row, std::string_view text, std::string_view name) {
  if (!row.only_choices) return;
  const auto choices = row.choices();
  if (std::ranges::find(choices, text) == choices.end())
    throw Error(kBadInput, "{} is '{}', but must be one of {}.", name, text, fmt::join(choices, ", "));
}

// A plain field; its type says how text becomes a value.
template <class Job, class Field>
void set_field(const OptionOf<Job>& row, Field& field, std::string_view text, std::string_view name) {
  using Value = typename Unwrapped<Field>::type;
  if constexpr (std::is_same_v<Value, bool>) {
    field = text != "false";
  } else if constexpr (std::is_integral_v<Value>) {
    // Unsigned numbers are read with their sign, so that -1 is told as out of range.
    const auto value = whole_number<std::int64_t>(text, name);
    check_range(row, static_cast<double>(value), text, name);
    field = static_cast<Value>(value);
  } else if constexpr (std::is_floating_point_v<Value>) {
    const auto value = parse_number(text);
    if (!value) throw Error(kBadInput, "{} is '{}', but must be a number.", name, text);
    check_range(row, *value, text, name);
    field = *value;
  } else {
    field = Value(std::string(text));
  }
}

}  // namespace

std::string field_name(std::string_view flag) {
  std::string name(flag);
  std::ranges::replace(name, '-', '_');
  return name;
}

std::string python_text(double value) {
  std::string text = fmt::format("{}", value);
  if (text.find_first_of(".en") == std::string::npos) text += ".0";
  return text;
}

std::string python_text(bool value) {
  return value ? "True" : "False";
}

template <class Job>
const OptionOf<Job>* find_option(std::span<const OptionOf<Job>> rows, std::string_view name) {
  std::string flag(name);
  std::ranges::replace(flag, '_', '-');
  for (const auto& row : rows)
    if (row.flag == flag || (!flag.empty() && std::ranges::find(row.aliases, flag) != row.aliases.end()))
      return &row;
  return nullptr;
}

template <class Job>
std::string option_text(const OptionOf<Job>& row, const Job& job) {
  return std::visit(
      [&](const auto& field) -> std::string {
        if constexpr (std::is_same_v<std::decay_t<decltype(field)>, TextField<Job>>)
          return field.get(job);
        else
          return text_of(field(const_cast<Job&>(job)));  // only read
      },
      row.field);
}

template <class Job>
void set_option(const OptionOf<Job>& row, Job& job, std::string_view text, std::string_view name) {
  if (!row.is_switch() && trim(text).empty())
    throw Error(kBadInput, "{} needs a value ({}).", name, row.value);
  if (row.is_switch() && text != "" && text != "true" && text != "false")
    throw Error(kBadInput, "{} is a switch and takes no value such as '{}'.", name, text);
  check_choice(row, text, name);
  std::visit(
      [&](const auto& field) {
        if constexpr (std::is_same_v<std::decay_t<decltype(field)>, TextField<Job>>)
          field.set(job, text, name);
        else
          set_field(row, field(job), text, name);
      },
      row.field);
}

template <class Job>
void check_options(std::span<const OptionOf<Job>> rows, const Job& job) {
  Job scratch = job;
  for (const auto& row : rows)
    if (const std::string text = option_text(row, job); !text.empty())
      set_option(row, scratch, text, fmt::format("--{}", row.flag));
}

template <class Job>
std::string option_key(const OptionOf<Job>& row, const Job& job) {
  return row.key != nullptr ? row.key(job) : option_text(row, job);
}

template <class Job>
std::string option_note(const OptionOf<Job>& row, const Job& job) {
  if (row.note != nullptr) return row.note(job);
  return std::visit(
      [&](const auto& field) -> std::string {
        if constexpr (std::is_same_v<std::decay_t<decltype(field)>, TextField<Job>>) {
          return field.get(job);
        } else {
          const auto& value = field(const_cast<Job&>(job));  // only read
          using Value = std::decay_t<decltype(value)>;
          if constexpr (std::is_same_v<Value, bool> || std::is_same_v<Value, double>)
            return python_text(value);
          else
            return text_of(value);
        }
      },
      row.field);
}

template <class Job>
std::string_view option_type(const OptionOf<Job>& row) {
  if (row.is_switch()) return "boolean";
  return std::visit(
      [](const auto& field) -> std::string_view {
        if constexpr (std::is_same_v<std::decay_t<decltype(field)>, TextField<Job>>) {
          return "string";
        } else {
          using Value = typename Unwrapped<std::decay_t<decltype(field(std::declval<Job&>()))>>::type;
          if constexpr (std::is_integral_v<Value>) return "integer";
          if constexpr (std::is_floating_point_v<Value>) return "number";
          return "string";
        }
      },
      row.field);
}

#define LOWRANK_INSTANTIATE(Job)                                                               \
  template const OptionOf<Job>* find_option(std::span<const OptionOf<Job>>, std::string_view); \
  template std::string option_text(const OptionOf<Job>&, const Job&);                          \
  template void set_option(const OptionOf<Job>&, Job&, std::string_view, std::string_view);    \
  template void check_options(std::span<const OptionOf<Job>>, const Job&);                     \
  template std::string option_key(const OptionOf<Job>&, const Job&);                           \
  template std::string option_note(const OptionOf<Job>&, const Job&);                          \
  template std::string_view option_type(const OptionOf<Job>&);
LOWRANK_INSTANTIATE(LoraTraining)
LOWRANK_INSTANTIATE(BaseTraining)
LOWRANK_INSTANTIATE(ServeOptions)
#undef LOWRANK_INSTANTIATE

}  // namespace lowrank::request
