// The options of `lowrank serve`, one row each (option.h): flag, range and help stand in the row, the default in the struct.
// The command line and its help, and the server's own limits, are derived from them.
#pragma once

#include <span>

#include "request/option.h"
#include "request/serve_options.h"

namespace lowrank::request {

using ServeOption = OptionOf<ServeOptions>;

std::span<const ServeOption> serve_options();

}  // namespace lowrank::request
