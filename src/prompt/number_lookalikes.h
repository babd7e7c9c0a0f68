// What was meant as a number and is none: `(word:1,5)`, `[a:b:nan]`, `a AND b:1e3`. A1111 reads these as words, and so
// does LowRank; but the person who wrote them is told.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace lowrank::prompt {

// Digits with points, commas, signs, an exponent or a percent sign among them, or one of nan, inf and infinity: read by
// a number's reader or not.
bool is_number_like(std::string_view text);

// "1,5" → "1.5"; "" for what is no number with a decimal comma.
std::string with_decimal_point(std::string_view text);

// One sentence for each weight or time of the prompt's words that is number-like and none, in text order. `text` is a
// prompt whose tags are cut out already.
std::vector<std::string> number_warnings(std::string_view text);

}  // namespace lowrank::prompt
