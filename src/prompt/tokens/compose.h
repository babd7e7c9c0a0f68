// Unicode's canonical composition: a letter and its marks become one character where there is one.
#pragma once

#include <string>
#include <string_view>

namespace lowrank::prompt {

// Normalization form C. The text must be well-formed UTF-8. Source: Unicode Standard Annex #15.
std::string compose(std::string_view text);

// What a full-width or half-width form stands for ("Ａ" → "A", "ｶ" → "カ"), U+3000 as a blank; "" for any
// other character. Source: the compatibility decompositions of U+FF01 … U+FFEF.
std::string standard_width(char32_t code);

}  // namespace lowrank::prompt
