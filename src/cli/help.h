// Help texts, made from the command table.
#pragma once

#include <string>
#include <string_view>

#include "cli/command_table.h"

namespace lowrank::cli {

std::string program_help();                           // `lowrank --help`
std::string command_help(const CommandRow& command);  // `lowrank COMMAND --help`

// "lowrank png-info [OPTIONS] FILE…"
std::string usage(const CommandRow& command);

// What stands behind an option's help: its default, range, choices and other names; "" or " (default 20; 1 to
// 150)".
std::string option_facts(const OptionRow& option);

// `text` in lines of at most `width` characters (UTF-8 code points), each but the first indented by `indent`
// blanks.
std::string wrap(std::string_view text, std::size_t width, std::size_t indent);

// Columns of the terminal on standard output; 100 when it is none.
std::size_t terminal_width();

}  // namespace lowrank::cli
