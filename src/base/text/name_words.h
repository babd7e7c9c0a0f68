#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace lowrank {

// The words of a name in lower case, runs of letters and digits of ASCII: "3dmm_style" and "3dmmStyle" give 3dmm and style.
std::vector<std::string> words_of(std::string_view text);

}  // namespace lowrank
