// The cleaning that CLIP's tokenizers do before they read a text.
#pragma once

#include <string>
#include <string_view>

namespace lowrank::prompt {

// Line by line until nothing changes any more:
//   HTML entities that end in a semicolon become characters, in lines before the first `<`
//   C1 controls become what Windows-1252 has in their place
//   Latin ligatures become letters, full-width and half-width forms usual ones, curly quotes straight
//   line breaks of every kind become one newline; terminal sequences and control characters go
//   letters and their marks become one character where there is one (NFC)
//
// `text` must be well-formed UTF-8; so is the result. Source: ftfy 6.3.1's fix_text in its standard setting.
// Its repair of mojibake (text that was decoded wrongly: "schÃ¶n") is left out on purpose: it guesses.
std::string clean_text(std::string_view text);

}  // namespace lowrank::prompt
