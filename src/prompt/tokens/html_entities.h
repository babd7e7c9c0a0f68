// HTML character references in a prompt: `&amp;`, `&#233;`, `&#xe9;`.
#pragma once

#include <string>
#include <string_view>

namespace lowrank::prompt {

// Decodes every reference once, by the rules of HTML5 for text: names may be longer than the reference
// (`&notit;`), a few stand without a semicolon, numbers 0x80 … 0x9f mean Windows-1252. Equal to Python's
// html.unescape.
std::string decode_html_entities(std::string_view text);

// What Windows-1252 has in the place of a C1 control, U+0080 … U+009F; five of them stay as they are.
char32_t windows_1252(char32_t control);

}  // namespace lowrank::prompt
