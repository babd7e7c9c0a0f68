// A1111's Python scripts, which do not exist here: those that clients name out of habit are passed over,
// those that would have real work are refused by name.
#pragma once

#include "server/json.h"

namespace lowrank::server {

// Looks at script_name and alwayson_scripts of a request. Throws Refusal 422 in A1111's words.
void check_scripts(const RequestJson& body);

}  // namespace lowrank::server
