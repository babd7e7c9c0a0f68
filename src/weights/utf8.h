// UTF-8 as files hold it: proven, or mended.
#pragma once

#include <string>
#include <string_view>

namespace lowrank::weights {

bool is_utf8(std::string_view text);
// U+FFFD for every byte that is no part of a character.
std::string mended_utf8(std::string_view text);
void append_utf8(std::string& text, char32_t code);  // U+FFFD for what is no character

}  // namespace lowrank::weights
