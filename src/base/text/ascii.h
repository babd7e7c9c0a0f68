// Text of machines (header names, hashes, file endings): A to Z in small letters, other bytes as they are. For
// text of people see prompt::lower.
#pragma once

#include <string>
#include <string_view>

namespace lowrank {

inline std::string lower_ascii(std::string_view text) {
  std::string out(text);
  for (char& c : out)
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  return out;
}

}  // namespace lowrank
