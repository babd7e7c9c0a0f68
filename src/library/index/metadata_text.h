// The metadata inside a LoRA's file as lists show them, and as the index keeps them.
#pragma once

#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

namespace lowrank::library {

// As A1111's API and page show them: the five keys that its page shows first, then the others by name; values that are
// JSON objects as such, without cover pictures.
nlohmann::ordered_json listed_metadata(const std::map<std::string, std::string>& metadata);
// The same as JSON text; what is no UTF-8 becomes U+FFFD.
std::string metadata_text(const std::map<std::string, std::string>& metadata);

// Deflated (RFC 1950), and back. Throws Error(kConflict), which stands for a damaged index, for what is no such text.
std::string pack_text(std::string_view text);
std::string unpack_text(std::string_view packed);

}  // namespace lowrank::library
