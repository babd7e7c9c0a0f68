// The JSON of a request's body.
#pragma once

#include <string_view>

#include "server/json.h"

namespace lowrank::server {

// Nesting deeper than this is refused: writers and destructors recurse.
inline constexpr int kMaxJsonDepth = 64;

// The text of a request's body. Throws Refusal 422 in A1111's form: `loc` is ["body", byte position].
RequestJson parse_json(std::string_view text);

}  // namespace lowrank::server
