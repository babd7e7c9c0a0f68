// Base64 (RFC 4648 §4), as pictures travel in JSON.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace lowrank {

std::string base64(std::span<const std::uint8_t> bytes);
inline std::string base64(std::string_view text) {
  return base64(std::span(reinterpret_cast<const std::uint8_t*>(text.data()), text.size()));
}

// White space anywhere and missing padding are accepted. nullopt: another character, or a length that no
// bytes give.
std::optional<std::vector<std::uint8_t>> from_base64(std::string_view text);

}  // namespace lowrank
