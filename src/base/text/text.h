// Characters, as the prompt language sees them: UTF-8, the Unicode classes of Python's regular expressions,
// and numbers as Python reads them.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

#include "base/text/utf8.h"

namespace lowrank {

Decoded decode_before(std::string_view text,
                      std::size_t end);  // the character that ends at `end`; requires end > 0

bool is_letter(char32_t code);       // \p{L}
bool is_number(char32_t code);       // \p{N}
bool is_word(char32_t code);         // \w: letter, number or underscore
bool is_space(char32_t code);        // \s and what strip() removes
bool is_white_space(char32_t code);  // the property White_Space: is_space without U+001C … U+001F
std::optional<int> digit_value(char32_t code);  // \d of any script

bool word_ends_at(std::string_view text, std::size_t at);  // \b at a byte offset that is a character boundary

std::size_t skip_space(std::string_view text, std::size_t at);  // first offset ≥ at that holds no whitespace
std::string_view trim(std::string_view text);
std::string_view trim_end(std::string_view text);

// Every ill-formed byte becomes U+FFFD.
std::string well_formed(std::string_view text);

// Full lower-casing (İ gives two characters, Σ at the end of a word gives ς), as Python's str.lower.
std::string lower(std::string_view text);

// A decimal floating-point number with optional sign, exponent, surrounding blanks and underscores between
// digits, in any script's digits. nullopt when it is none, or not finite: nan and inf are no numbers here.
std::optional<double> parse_number(std::string_view text);
std::optional<int> parse_integer(std::string_view text);

}  // namespace lowrank
