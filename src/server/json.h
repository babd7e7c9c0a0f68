// The two forms of JSON here: answers keep their keys in the order written; requests look keys up in
// logarithmic time, however many a client sends.
#pragma once

#include <nlohmann/json.hpp>

#include <string>
#include <string_view>

namespace lowrank::server {

using Json = nlohmann::ordered_json;
using RequestJson = nlohmann::json;

// Nesting deeper than this is refused: writers and destructors recurse.
inline constexpr int kMaxJsonDepth = 64;

// The text of a request's body. Throws Refusal 422 in A1111's form: `loc` is ["body", byte position].
RequestJson parse_json(std::string_view text);

// As text; what is no UTF-8 becomes U+FFFD.
std::string json_text(const Json& value, int indent = -1);

}  // namespace lowrank::server
