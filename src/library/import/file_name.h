// File names that come from outside, made harmless.
#pragma once

#include <string>
#include <string_view>

namespace lowrank::library {

// The last part of `name` as a file name that stays in its folder: no slashes or backslashes, no control
// characters, none of < > : " | ? * (which other systems refuse and a prompt's tag cannot hold), no leading
// dot or dash, no blanks at the ends, at most `max_bytes` with its extension kept, well-formed UTF-8. "" when
// nothing is left.
std::string safe_file_name(std::string_view name, std::size_t max_bytes = 200);

// ".safetensors" of "a.b.SafeTensors", in lower case; "" none.
std::string extension_of(std::string_view name);

}  // namespace lowrank::library
