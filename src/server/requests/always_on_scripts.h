// A1111's always-on scripts, which do not exist here: those that clients name out of habit are passed over,
// those that would have real work are refused by name. For the others: series_scripts.h.
#pragma once

#include "server/json.h"

namespace lowrank::server {

// Looks at alwayson_scripts of a request. Throws Refusal 422 in A1111's words.
void check_always_on_scripts(const RequestJson& body);

}  // namespace lowrank::server
