// The words of a command line, understood and checked against the command table.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "cli/arguments.h"
#include "cli/command_table.h"

namespace lowrank::cli {

struct Invocation : Arguments {
  const CommandRow* command = nullptr;
  bool wants_help = false;
};

// `words` without the command's name. Options and positionals may be mixed; "--" ends the options; underscores in
// option names count as hyphens. Throws Error(kBadInput) with one sentence: an unknown option (with the
// nearest ones), a missing or superfluous word, a value of the wrong type or out of range. With --help
// nothing is checked.
Invocation parse_words(const CommandRow& command, std::span<const std::string> words);

// The command that `words` begin with, and how many words its name has. Throws Error(kBadInput) naming what
// comes near.
struct FoundCommand {
  const CommandRow* command = nullptr;
  std::size_t name_words = 0;
};
FoundCommand match_command(std::span<const std::string> words);

// Commands whose name begins with `group` and a blank: those of "lora".
std::vector<const CommandRow*> commands_of_group(std::string_view group);

}  // namespace lowrank::cli
