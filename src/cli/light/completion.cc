// `lowrank completion`: scripts that complete commands, options and choices, made from the command table.
#include <fmt/format.h>

#include <algorithm>

#include "cli/invocation.h"
#include "cli/light/commands.h"

namespace lowrank::cli {
namespace {

std::vector<std::string> flags_of(const CommandRow& command) {
  std::vector<std::string> words;
  for (const auto& option : command.options) {
    words.push_back("--" + option.flag);
    if (option.letter != 0) words.push_back(fmt::format("-{}", option.letter));
  }
  words.push_back("--help");
  return words;
}

// First words, each once, and the second words of a group.
std::vector<std::string> first_words() {
  std::vector<std::string> words;
  for (const auto& command : command_table()) {
    const std::string word = command.name.substr(0, command.name.find(' '));
    if (std::ranges::find(words, word) == words.end()) words.push_back(word);
  }
  return words;
}

std::vector<std::string> second_words(const std::string& first) {
  std::vector<std::string> words;
  for (const auto* command : commands_of_group(first))
    words.push_back(command->name.substr(first.size() + 1));
  return words;
}

std::string in_quotes(std::string_view text) {  // for a shell, in single quotes
  std::string out = "'";
  for (const char c : text) out += c == '\'' ? std::string("'\\''") : std::string(1, c);
  return out + "'";
}

std::string lines(const std::vector<std::string>& words) {  // $'a\nb' for bash and zsh
  std::string out = "$'";
  for (const auto& word : words) out += (out.size() > 2 ? "\\n" : "") + word;
  return out + "'";
}

// The command whose --names lists what stands for a name.
std::string_view listing_of(Names names) {
  switch (names) {
    case Names::kCheckpoint:
      return "model list";
    case Names::kLora:
      return "lora list";
    case Names::kRecipe:
      return "recipe list";
    case Names::kNone:
      break;
  }
  return "";
}

// The shell's words that complete names, in bash and zsh: `or_files` follows where a file may stand instead.
std::string name_action(Names names, bool or_file, std::string_view or_files) {
  return fmt::format("_lowrank_words \"$(_lowrank_names {})\"{}", listing_of(names), or_file ? or_files : "");
}

// `case` branches on "COMMAND --flag" for names, choices, files and folders.
std::string value_cases(std::string_view files, std::string_view folders, std::string_view choices,
                        std::string_view or_files) {
  std::string text;
  for (const auto& command : command_table()) {
    for (const auto& option : command.options) {
      if (option.is_switch()) continue;
      std::string pattern = in_quotes(command.name + " --" + option.flag);
      if (option.letter != 0) pattern += "|" + in_quotes(fmt::format("{} -{}", command.name, option.letter));
      std::string action;
      if (option.names != Names::kNone) {
        action = name_action(option.names, option.names != Names::kRecipe, or_files);
      } else if (!option.choices.empty()) {
        action = fmt::format(fmt::runtime(choices), lines(option.choices));
      } else if (option.kind == ValueKind::kFile) {
        action = files;
      } else if (option.kind == ValueKind::kFolder) {
        action = folders;
      } else {
        action = ":";
      }
      text += fmt::format("    {}) {}; return;;\n", pattern, action);
    }
  }
  return text;
}

// The shared body of bash and zsh, whose arrays and `compgen` differ little enough.
std::string bash_script() {
  std::string text =
      "# bash completion of lowrank; made by `lowrank completion bash`\n"
      "_lowrank_words() {\n"
      "  local IFS=$'\\n' word\n"
      "  for word in $1; do\n"
      "    [[ $word == \"$cur\"* ]] && COMPREPLY+=(\"$(printf %q \"$word\")\")\n"
      "  done\n"
      "}\n"
      "_lowrank_names() {\n"
      "  local i program=${COMP_WORDS[0]/#\\~/$HOME} data=()\n"
      "  for ((i = 1; i < COMP_CWORD; i++)); do\n"
      "    [[ ${COMP_WORDS[i]} == --data-dir ]] || continue\n"
      "    [[ ${COMP_WORDS[i+1]} == = ]] && ((i++))\n"
      "    data=(--data-dir \"${COMP_WORDS[i+1]/#\\~/$HOME}\")\n"
      "  done\n"
      "  \"$program\" \"$@\" --names \"${data[@]}\" 2>/dev/null\n"
      "}\n"
      "_lowrank_files() {\n"
      "  (( ${#COMPREPLY[@]} )) || { compopt -o filenames; COMPREPLY=($(compgen -f -- \"$cur\")); }\n"
      "}\n"
      "_lowrank() {\n"
      "  local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD-1]} command=${COMP_WORDS[1]}\n"
      "  COMPREPLY=()\n"
      "  [[ $cur == = ]] && cur=\n"
      "  [[ $prev == = ]] && prev=${COMP_WORDS[COMP_CWORD-2]}\n"
      "  cur=${cur#[\\'\\\"]}\n"
      "  if (( COMP_CWORD == 1 )); then\n";
  text += fmt::format("    _lowrank_words {}; return\n  fi\n  case $command in\n", lines([&] {
                        auto words = first_words();
                        words.insert(words.end(), {"--help", "--version"});
                        return words;
                      }()));
  for (const auto& first : first_words()) {
    if (second_words(first).empty()) continue;
    text += fmt::format(
        "    {}) if (( COMP_CWORD == 2 )); then _lowrank_words {}; return; fi; command=\"$command "
        "${{COMP_WORDS[2]}}\";;\n",
        first, lines(second_words(first)));
  }
  text += "  esac\n  case \"$command $prev\" in\n";
  text += value_cases("compopt -o filenames; COMPREPLY=($(compgen -f -- \"$cur\"))",
                      "compopt -o filenames; COMPREPLY=($(compgen -d -- \"$cur\"))", "_lowrank_words {}",
                      "; _lowrank_files");
  text += "  esac\n  if [[ $cur == -* ]]; then\n    case $command in\n";
  for (const auto& command : command_table())
    text += fmt::format("      {}) _lowrank_words {};;\n", in_quotes(command.name), lines(flags_of(command)));
  text += "    esac\n    return\n  fi\n  case $command in\n";
  for (const auto& command : command_table()) {
    if (command.positionals.empty()) continue;
    const auto& positional = command.positionals.front();
    if (!positional.choices.empty()) {
      text +=
          fmt::format("    {}) _lowrank_words {};;\n", in_quotes(command.name), lines(positional.choices));
    } else if (positional.names != Names::kNone) {
      text +=
          fmt::format("    {}) {};;\n", in_quotes(command.name),
                      name_action(positional.names, positional.kind == ValueKind::kFile, "; _lowrank_files"));
    } else if (positional.kind == ValueKind::kFile) {
      text += fmt::format("    {}) compopt -o filenames; COMPREPLY=($(compgen -f -- \"$cur\"));;\n",
                          in_quotes(command.name));
    }
  }
  return text + "  esac\n}\ncomplete -F _lowrank lowrank\n";
}

std::string zsh_script() {
  std::string text =
      "#compdef lowrank\n# zsh completion of lowrank; made by `lowrank completion zsh`\n"
      "_lowrank_words() {\n  local -a found\n  found=(\"${(@f)1}\")\n  compadd -a found\n}\n"
      "_lowrank_names() {\n  local -a data\n  local at=${words[(I)--data-dir]}\n"
      "  (( at )) && data=(--data-dir ${~words[at+1]})\n"
      "  ${~words[1]} $@ --names $data 2>/dev/null\n}\n"
      "_lowrank() {\n  local command=$words[2] prev=$words[CURRENT-1]\n"
      "  if (( CURRENT == 2 )); then\n    local -a commands\n    commands=(\n";
  for (const auto& first : first_words()) {
    const auto* command = find_command(first);
    text += fmt::format(
        "      {}\n",
        in_quotes(first + ":" +
                  (command != nullptr ? command->summary
                                      : fmt::format("{}", fmt::join(second_words(first), ", ")))));
  }
  text += "    )\n    _describe command commands\n    return\n  fi\n  case $command in\n";
  for (const auto& first : first_words()) {
    if (second_words(first).empty()) continue;
    text += fmt::format(
        "    {}) if (( CURRENT == 3 )); then _lowrank_words {}; return; fi; command=\"$command "
        "$words[3]\";;\n",
        first, lines(second_words(first)));
  }
  text += "  esac\n  case \"$command $prev\" in\n" +
          value_cases("_files", "_files -/", "_lowrank_words {}", "; _files");
  text += "  esac\n  if [[ $PREFIX == -* ]]; then\n    case $command in\n";
  for (const auto& command : command_table())
    text += fmt::format("      {}) _lowrank_words {};;\n", in_quotes(command.name), lines(flags_of(command)));
  text += "    esac\n    return\n  fi\n  case $command in\n";
  for (const auto& command : command_table()) {
    if (command.positionals.empty()) continue;
    const auto& positional = command.positionals.front();
    if (!positional.choices.empty())
      text +=
          fmt::format("    {}) _lowrank_words {};;\n", in_quotes(command.name), lines(positional.choices));
    else if (positional.names != Names::kNone)
      text += fmt::format("    {}) {};;\n", in_quotes(command.name),
                          name_action(positional.names, positional.kind == ValueKind::kFile, "; _files"));
  }
  return text +
         "    *) _files;;\n  esac\n}\nif [[ $funcstack[1] == _lowrank ]]; then _lowrank \"$@\"; else compdef "
         "_lowrank lowrank; fi\n";
}

std::string in_fish_quotes(std::string_view text) {
  std::string out = "'";
  for (const char c : text) out += c == '\'' || c == '\\' ? std::string("\\") + c : std::string(1, c);
  return out + "'";
}

std::string fish_script() {
  std::string text =
      "# fish completion of lowrank; made by `lowrank completion fish`\n"
      "function __lowrank_names\n  set -l words (commandline -opc)\n  set -l data\n"
      "  if set -l at (contains -i -- --data-dir $words)\n"
      "    set data --data-dir $words[(math $at + 1)]\n  end\n"
      "  $words[1] $argv --names $data 2>/dev/null\nend\n"
      "complete -c lowrank -f\n";
  for (const auto& first : first_words()) {
    const auto* command = find_command(first);
    text += fmt::format(
        "complete -c lowrank -n __fish_use_subcommand -a {} -d {}\n", first,
        in_fish_quotes(command != nullptr ? command->summary
                                          : fmt::format("{}", fmt::join(second_words(first), ", "))));
  }
  for (const auto& command : command_table()) {
    const auto blank = command.name.find(' ');
    std::string when = "__fish_seen_subcommand_from " + command.name.substr(0, blank);
    if (blank != std::string::npos) {
      const std::string second = command.name.substr(blank + 1);
      text += fmt::format("complete -c lowrank -n {} -a {} -d {}\n",
                          in_fish_quotes(when + "; and test (count (commandline -opc)) -eq 2"), second,
                          in_fish_quotes(command.summary));
      when += "; and __fish_seen_subcommand_from " + second;
    }
    for (const auto& option : command.options) {
      text += fmt::format("complete -c lowrank -n {} -l {}", in_fish_quotes(when), option.flag);
      if (option.letter != 0) text += fmt::format(" -s {}", option.letter);
      if (!option.is_switch())
        text += option.kind == ValueKind::kFile || option.kind == ValueKind::kFolder ? " -r -F" : " -x";
      if (option.names != Names::kNone) {
        text += fmt::format(" -a '(__lowrank_names {})'", listing_of(option.names));
      } else if (!option.choices.empty()) {
        std::string choices;
        for (const auto& choice : option.choices)
          choices += (choices.empty() ? "" : " ") + fmt::format("\"{}\"", choice);
        text += " -a " + in_fish_quotes(choices);
      }
      text += " -d " + in_fish_quotes(option.help) + "\n";
    }
    for (const auto& positional : command.positionals) {
      if (positional.names != Names::kNone)
        text += fmt::format("complete -c lowrank -n {} -a '(__lowrank_names {})'\n", in_fish_quotes(when),
                            listing_of(positional.names));
      if (!positional.choices.empty())
        text += fmt::format("complete -c lowrank -n {} -a {}\n", in_fish_quotes(when),
                            in_fish_quotes(fmt::format("{}", fmt::join(positional.choices, " "))));
      else if (positional.kind == ValueKind::kFile)
        text += fmt::format("complete -c lowrank -n {} -F\n", in_fish_quotes(when));
    }
  }
  return text;
}

}  // namespace

int completion(const Invocation& invocation) {
  const std::string& shell = invocation.positionals.front();
  fmt::print("{}", shell == "bash" ? bash_script() : shell == "zsh" ? zsh_script() : fish_script());
  return 0;
}

}  // namespace lowrank::cli
