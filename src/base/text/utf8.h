// UTF-8 (RFC 3629): over-long forms, surrogates and what lies beyond U+10FFFF are ill-formed.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace lowrank {

struct Decoded {
  char32_t code = 0;
  std::size_t length = 0;  // bytes, ≥ 1; an ill-formed byte is U+FFFD of length 1
};

Decoded decode_at(std::string_view text, std::size_t at);  // requires at < text.size()

void append_utf8(std::string& text, char32_t code);  // U+FFFD for what is no Unicode scalar value

// Offset of the first ill-formed byte, npos when there is none.
std::size_t find_ill_formed(std::string_view text);
bool is_utf8(std::string_view text);

// U+FFFD for every ill-formed byte.
std::string mended_utf8(std::string_view text);

}  // namespace lowrank
