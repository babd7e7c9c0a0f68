#include "cli/help.h"

#include <fmt/format.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>

namespace lowrank::cli {
namespace {

std::size_t code_points(std::string_view text) {
  return static_cast<std::size_t>(std::ranges::count_if(text, [](char c) { return (c & 0xC0) != 0x80; }));
}

std::string option_head(const OptionRow& option) {
  std::string head = option.letter != 0 ? fmt::format("-{}, ", option.letter) : "    ";
  head += "--" + option.flag;
  return option.is_switch() ? head : head + " " + option.value;
}

}  // namespace

std::size_t terminal_width() {
  winsize size{};
  if (isatty(STDOUT_FILENO) != 0 && ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col >= 40)
    return std::min<std::size_t>(size.ws_col, 120);
  return 100;
}

std::string wrap(std::string_view text, std::size_t width, std::size_t indent) {
  std::string out;
  std::size_t column = indent;
  while (!text.empty()) {
    const std::size_t end = std::min(text.find(' '), text.size());
    const std::string_view word = text.substr(0, end);
    const std::size_t length = code_points(word);
    if (column > indent && column + 1 + length > width) {
      out += "\n" + std::string(indent, ' ');
      column = indent;
    } else if (column > indent) {
      out += ' ';
      ++column;
    }
    out += word;
    column += length;
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return out;
}

std::string usage(const CommandRow& command) {
  std::string text = "lowrank " + command.name;
  if (!command.options.empty()) text += " [OPTIONS]";
  for (const auto& positional : command.positionals) {
    const std::string word = positional.name + (positional.is_repeatable ? "..." : "");
    text += positional.is_required ? " " + word : " [" + word + "]";
  }
  return text;
}

std::string option_facts(const OptionRow& option) {
  std::vector<std::string> facts;
  if (!option.default_value.empty()) facts.push_back("default " + option.default_value);
  const bool has_max = option.max < std::numeric_limits<double>::infinity();
  if (has_max && option.max < 1e6) {
    facts.push_back(fmt::format("{} to {}", option.min, option.max));
  } else if (option.min > -std::numeric_limits<double>::infinity() && option.min > -1e6 &&
             option.default_value != "-1") {
    facts.push_back(fmt::format("at least {}", option.min));
  }
  if (!option.choices.empty() && option.choices.size() <= 5)
    facts.push_back(fmt::format("{}", fmt::join(option.choices, ", ")));
  for (const auto& alias : option.aliases) facts.push_back("also --" + alias);
  return facts.empty() ? "" : fmt::format(" ({})", fmt::join(facts, "; "));
}

std::string command_help(const CommandRow& command) {
  const std::size_t width = terminal_width();
  std::string text =
      fmt::format("lowrank {}: {}\n\nUsage: {}\n", command.name, command.summary, usage(command));
  if (!command.positionals.empty()) {
    text += "\n";
    for (const auto& positional : command.positionals)
      text += fmt::format("  {:<10} {}\n", positional.name, positional.help);
  }
  if (!command.options.empty()) {
    text += "\nOptions:\n";
    constexpr std::size_t kColumn = 34;
    for (const auto& option : command.options) {
      const std::string head = "  " + option_head(option);
      const bool own_line = head.size() + 1 >= kColumn;
      text += head + (own_line ? "\n" + std::string(kColumn, ' ') : std::string(kColumn - head.size(), ' '));
      text += wrap(option.help + option_facts(option), width, kColumn) + "\n";
    }
    text += fmt::format("  {:<32}{}\n", "-h, --help", "show this help");
  }
  const auto long_choices =
      std::ranges::find_if(command.options, [](const auto& o) { return o.choices.size() > 5; });
  if (long_choices != command.options.end()) text += "\n";
  for (const auto& option : command.options)
    if (option.choices.size() > 5)
      text += wrap(fmt::format("{} of --{}: {}.", "Values", option.flag, fmt::join(option.choices, ", ")),
                   width, 0) +
              "\n";
  if (!command.more.empty()) text += "\n" + wrap(command.more, width, 0) + "\n";
  const bool uses_data =
      std::ranges::any_of(command.options, [](const auto& o) { return o.flag == "data-dir"; });
  if (uses_data) text += "\n" + wrap(data_folder_help(), width, 0) + "\n";
  if (!command.examples.empty()) text += "\nExamples:\n";
  for (const auto& example : command.examples) {
    text += "  lowrank " + example.words + "\n";
    if (!example.help.empty()) text += "      " + example.help + "\n";
  }
  return text;
}

std::string program_help() {
  std::string text =
      "lowrank: generate pictures with Stable Diffusion and SDXL models and LoRAs, and train both\n\n"
      "Usage: lowrank COMMAND [OPTIONS]\n\nCommands:\n";
  for (const auto& command : command_table())
    text += fmt::format("  {:<16} {}\n", command.name, command.summary);
  text += fmt::format("\n  {:<16} {}\n  {:<16} {}\n", "-h, --help",
                      "this help; 'lowrank COMMAND --help' shows a command's options", "-v, --version",
                      "the version");
  text += "\n" + wrap(data_folder_help(), terminal_width(), 0) + "\n";
  text +=
      "\nExit status: 0 success, 1 runtime error, 2 bad input, 130 stopped by Ctrl-C.\n"
      "\nExamples:\n"
      "  lowrank txt2img -p \"fox, noto style, blue background\" --cfg 5 --seed 42 -o fox.png\n"
      "  lowrank lora list\n"
      "  lowrank png-info fox.png\n";
  return text;
}

}  // namespace lowrank::cli
