#include "base/text/base64.h"

#include <array>

namespace lowrank {
namespace {

constexpr std::string_view kLetters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

constexpr std::array<int, 256> kValues = [] {
  std::array<int, 256> values{};
  values.fill(-1);
  for (std::size_t i = 0; i < kLetters.size(); ++i)
    values[static_cast<unsigned char>(kLetters[i])] = static_cast<int>(i);
  return values;
}();

}  // namespace

std::string base64(std::span<const std::uint8_t> bytes) {
  std::string text;
  text.reserve((bytes.size() + 2) / 3 * 4);
  for (std::size_t i = 0; i < bytes.size(); i += 3) {
    const std::size_t left = bytes.size() - i;
    const unsigned word = static_cast<unsigned>(bytes[i]) << 16 |
                          (left > 1 ? static_cast<unsigned>(bytes[i + 1]) << 8 : 0u) |
                          (left > 2 ? static_cast<unsigned>(bytes[i + 2]) : 0u);
    text += kLetters[word >> 18];
    text += kLetters[word >> 12 & 63];
    text += left > 1 ? kLetters[word >> 6 & 63] : '=';
    text += left > 2 ? kLetters[word & 63] : '=';
  }
  return text;
}

std::optional<std::vector<std::uint8_t>> from_base64(std::string_view text) {
  std::vector<std::uint8_t> bytes;
  bytes.reserve(text.size() / 4 * 3 + 3);
  unsigned word = 0;
  int letters = 0;
  bool has_ended = false;
  for (const char c : text) {
    if (c == ' ' || c == '\n' || c == '\r' || c == '\t') continue;
    if (c == '=') {
      has_ended = true;
      continue;
    }
    const int value = kValues[static_cast<unsigned char>(c)];
    if (value < 0 || has_ended) return std::nullopt;
    word = word << 6 | static_cast<unsigned>(value);
    if (++letters == 4) {
      for (const int shift : {16, 8, 0}) bytes.push_back(static_cast<std::uint8_t>(word >> shift & 255));
      word = 0;
      letters = 0;
    }
  }
  if (letters == 1) return std::nullopt;
  if (letters >= 2)
    bytes.push_back(static_cast<std::uint8_t>(letters == 2 ? word >> 4 & 255 : word >> 10 & 255));
  if (letters == 3) bytes.push_back(static_cast<std::uint8_t>(word >> 2 & 255));
  return bytes;
}

}  // namespace lowrank
