#include "cli/invocation.h"

#include <fmt/format.h>

#include <algorithm>
#include <optional>

#include "base/error.h"
#include "base/text/text.h"
#include "library/near_names.h"
#include "request/field_table.h"

namespace lowrank::cli {
namespace {

const OptionRow* find_option(const CommandRow& command, std::string_view flag) {
  for (const auto& option : command.options)
    if (option.flag == flag || std::ranges::find(option.aliases, flag) != option.aliases.end())
      return &option;
  return nullptr;
}

const OptionRow* find_letter(const CommandRow& command, char letter) {
  for (const auto& option : command.options)
    if (option.letter == letter) return &option;
  return nullptr;
}

[[noreturn]] void refuse_option(const CommandRow& command, std::string_view word) {
  std::vector<std::string> known;
  for (const auto& option : command.options) {
    known.push_back("--" + option.flag);
    for (const auto& alias : option.aliases) known.push_back("--" + alias);
  }
  const std::string near = library::did_you_mean(word, known);
  throw Error(kBadInput, "unknown option '{}' of {}.{}", word, command.name,
              near.empty() ? fmt::format(" 'lowrank {} --help' lists the options.", command.name) : near);
}

void check_number(const OptionRow& option, const std::string& text) {
  const auto number = parse_number(text);
  const bool is_whole = number && *number == static_cast<double>(static_cast<long long>(*number)) &&
                        text.find_first_of(".eE") == std::string::npos;
  if (!number || (option.kind == ValueKind::kInteger && !is_whole))
    throw Error(kBadInput, "--{} is '{}', but must be a {}.", option.flag, text,
                option.kind == ValueKind::kInteger ? "whole number" : "number");
  if (*number < option.min || *number > option.max) {
    if (option.max == std::numeric_limits<double>::infinity())
      throw Error(kBadInput, "--{} is {}, but must be at least {}.", option.flag, text, option.min);
    throw Error(kBadInput, "--{} is {}, but must be between {} and {}.", option.flag, text, option.min,
                option.max);
  }
}

void check_value(const OptionRow& option, const std::string& text) {
  if (option.only_choices && std::ranges::find(option.choices, text) == option.choices.end())
    throw Error(kBadInput, "--{} is '{}', but must be one of {}.{}", option.flag, text,
                fmt::join(option.choices, ", "), library::did_you_mean(text, option.choices));
  if (option.check) return option.check(text);
  switch (option.kind) {
    case ValueKind::kInteger:
    case ValueKind::kNumber:
      return check_number(option, text);
    case ValueKind::kSize:
      request::parse_size(text, fmt::format("--{}", option.flag));
      return;
    case ValueKind::kFile:
    case ValueKind::kFolder:
      if (text.empty())
        throw Error(kBadInput, "--{} is empty; give a {}.", option.flag,
                    option.kind == ValueKind::kFile ? "file" : "folder");
      return;
    case ValueKind::kText:
      return;
  }
}

bool looks_like_option(const CommandRow& command, const std::string& word) {
  return word.starts_with("--") && find_option(command, std::string_view(word).substr(2)) != nullptr;
}

// One option as it stands in the words, its value still open.
struct WrittenOption {
  const OptionRow* option = nullptr;
  std::string spelling;
  std::optional<std::string> value;
};

WrittenOption read_option(const CommandRow& command, const std::string& word) {
  WrittenOption written;
  if (word.starts_with("--")) {
    const auto equals = word.find('=');
    written.spelling = word.substr(0, equals);
    std::string flag = written.spelling.substr(2);
    std::ranges::replace(flag, '_', '-');
    if (equals != std::string::npos) written.value = word.substr(equals + 1);
    written.option = find_option(command, flag);
  } else {
    written.spelling = word.substr(0, 2);
    written.option = find_letter(command, word[1]);
    if (word.size() > 2) written.value = word.substr(word[2] == '=' ? 3 : 2);
  }
  if (written.option == nullptr) refuse_option(command, written.spelling);
  return written;
}

void check_places(const Invocation& invocation) {
  const auto& rows = invocation.command->positionals;
  std::size_t required = 0;
  for (const auto& row : rows) required += row.is_required ? 1 : 0;
  if (invocation.positionals.size() < required)
    throw Error(kBadInput, "{} needs {}: {}; see 'lowrank {} --help'.", invocation.command->name,
                rows[invocation.positionals.size()].name, rows[invocation.positionals.size()].help,
                invocation.command->name);
  const bool open_end = !rows.empty() && rows.back().is_repeatable;
  if (rows.empty() && !invocation.positionals.empty() &&
      find_option(*invocation.command, "prompt") != nullptr && !invocation.has("prompt"))
    throw Error(kBadInput, "unexpected argument '{0}' of {1}; if it is the prompt, write -p \"{0}\".",
                invocation.positionals.front(), invocation.command->name);
  if (!open_end && invocation.positionals.size() > rows.size())
    throw Error(kBadInput, "unexpected argument '{}' of {}; put text with spaces in quotes.",
                invocation.positionals[rows.size()], invocation.command->name);
  for (const NeedRow& need : invocation.command->needs)
    if (std::ranges::none_of(need.flags, [&](const std::string& flag) { return invocation.has(flag); }))
      throw Error(kBadInput, "{} needs {}; see 'lowrank {} --help'.", invocation.command->name, need.says,
                  invocation.command->name);
  for (std::size_t i = 0; i < invocation.positionals.size(); ++i) {
    const PositionalRow& row = rows[std::min(i, rows.size() - 1)];
    if (!row.choices.empty() &&
        std::ranges::find(row.choices, invocation.positionals[i]) == row.choices.end())
      throw Error(kBadInput, "{} is '{}', but must be one of {}.", row.name, invocation.positionals[i],
                  fmt::join(row.choices, ", "));
  }
}

// A switch that is another option with a certain value, and the defaults of what was not given.
void complete(Invocation& invocation) {
  for (const OptionRow& option : invocation.command->options) {
    if (!option.stands_for.flag.empty() && invocation.has(option.flag)) {
      invocation.options.erase(option.flag);
      invocation.options[option.stands_for.flag] = {option.stands_for.value};
    }
  }
  for (const OptionRow& option : invocation.command->options)
    if (!option.default_value.empty() && !invocation.has(option.flag))
      invocation.defaults[option.flag] = option.default_value;
}

}  // namespace

Invocation parse_words(const CommandRow& command, std::span<const std::string> words) {
  Invocation invocation;
  invocation.command = &command;
  const auto end_of_options = std::ranges::find(words, "--");
  for (auto it = words.begin(); it != end_of_options; ++it)
    invocation.wants_help = invocation.wants_help || *it == "--help" || *it == "-h";
  if (invocation.wants_help) return invocation;
  bool options_ended = false;
  for (std::size_t i = 0; i < words.size(); ++i) {
    const std::string& word = words[i];
    if (options_ended || word.size() < 2 || word[0] != '-') {
      invocation.positionals.push_back(word);
      continue;
    }
    if (word == "--") {
      options_ended = true;
      continue;
    }
    WrittenOption written = read_option(command, word);
    const OptionRow& option = *written.option;
    if (option.is_switch()) {
      if (written.value) throw Error(kBadInput, "{} is a switch and takes no value.", written.spelling);
      invocation.options[option.flag] = {"true"};
      continue;
    }
    if (!written.value) {
      if (i + 1 == words.size())
        throw Error(kBadInput, "{} needs a value ({}).", written.spelling, option.value);
      if (looks_like_option(command, words[i + 1]))
        throw Error(kBadInput,
                    "{} needs a value, but the next argument is {}; if that is the value, write {}{}{}.",
                    written.spelling, words[i + 1], written.spelling, word.starts_with("--") ? "=" : "",
                    words[i + 1]);
      written.value = words[++i];
      for (int n = 1; n < option.most_words && i + 1 < words.size() && !words[i + 1].starts_with('-'); ++n)
        *written.value += " " + words[++i];
    }
    check_value(option, *written.value);
    auto& values = invocation.options[option.flag];
    if (!option.is_repeatable) values.clear();
    values.push_back(*written.value);
  }
  check_places(invocation);
  complete(invocation);
  return invocation;
}

std::vector<const CommandRow*> commands_of_group(std::string_view group) {
  std::vector<const CommandRow*> found;
  for (const auto& command : command_table())
    if (command.name.starts_with(group) && command.name.size() > group.size() &&
        command.name[group.size()] == ' ')
      found.push_back(&command);
  return found;
}

FoundCommand match_command(std::span<const std::string> words) {
  const std::string& first = words.front();
  if (const auto* command = find_command(first)) return {command, 1};
  const auto group = commands_of_group(first);
  std::vector<std::string> known;
  if (!group.empty()) {
    for (const auto* command : group) known.push_back(command->name.substr(first.size() + 1));
    if (words.size() < 2 || words[1].starts_with("-"))
      throw Error(kBadInput, "'lowrank {}' needs a subcommand: {}.", first, fmt::join(known, ", "));
    if (const auto* command = find_command(first + " " + words[1])) return {command, 2};
    const std::string near = library::did_you_mean(words[1], known);
    throw Error(kBadInput, "'lowrank {}' has no subcommand '{}'.{}", first, words[1],
                near.empty() ? fmt::format(" Its subcommands are {}.", fmt::join(known, ", ")) : near);
  }
  for (const auto& command : command_table()) {
    const std::string word = command.name.substr(0, command.name.find(' '));
    if (std::ranges::find(known, word) == known.end()) known.push_back(word);
  }
  const std::string near = library::did_you_mean(first, known);
  throw Error(kBadInput, "unknown command '{}'.{}", first,
              near.empty() ? " 'lowrank --help' lists the commands." : near);
}

}  // namespace lowrank::cli
