// Settings that came through a chat, a forum or a web page: in a fence of Markdown, as a list with bold labels, quoted,
// with HTML's escapes, with the punctuation of Chinese and Japanese.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace lowrank::prompt {

// The text as the program wrote it that the settings come from. What was changed beyond fences and line ends stands in
// `notes`, a sentence each. A text without such signs comes back as it is.
std::string unwrapped_settings(std::string_view text, std::vector<std::string>& notes);

}  // namespace lowrank::prompt
