// Opens the engine library for a command that needs it.
#pragma once

#include "cli/invocation.h"

namespace lowrank::cli {

// Hands the command over (cli/engine_interface.h) and returns its exit status. Throws Error(kNotFound) when the library
// is neither beside the program nor in ../lib/lowrank, and Error(kIo) when it cannot be opened.
int run_in_engine(const Invocation& invocation);

}  // namespace lowrank::cli
