// The one list of what `lowrank` can be asked: every command with its options, positionals and examples. The
// parser, the help, the shells' completion and the man page read it, so that a row added here exists in all
// of them.
#pragma once

#include <string_view>
#include <vector>

#include "cli/command_row.h"

namespace lowrank::cli {

const std::vector<CommandRow>& command_table();
const CommandRow* find_command(std::string_view name);

// Where data are found, for the help of every command and the man page.
std::string_view data_folder_help();

}  // namespace lowrank::cli
