// The two forms of JSON here: answers keep their keys in the order written; requests look keys up in
// logarithmic time, however many a client sends.
#pragma once

#include <nlohmann/json.hpp>

#include <string>
#include <string_view>

namespace lowrank::server {

using Json = nlohmann::ordered_json;
using RequestJson = nlohmann::json;

// As text; what is no UTF-8 becomes U+FFFD.
std::string json_text(const Json& value, int indent = -1);

}  // namespace lowrank::server
