// Words of a prompt that were meant as a network tag but are none: unclosed, with a blank behind the bracket, with
// HTML's `&lt;`, with full-width brackets or colons. A1111 reads all of them as words, and so does LowRank; but the
// person who wrote them is told.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace lowrank::prompt {

// One sentence for each, in text order. `text` is a prompt whose tags are cut out already.
std::vector<std::string> lookalike_warnings(std::string_view text);

}  // namespace lowrank::prompt
