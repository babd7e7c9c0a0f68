// Words that people misspelt, or write together or apart otherwise than the collection does.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "sqlite/database.h"

namespace lowrank::library {

struct NearWords {
  std::string match;               // for Query::match; "" when nothing comes near
  std::vector<std::string> words;  // of the index, nearest first: what was looked for instead
};

// For words that find nothing. A word that occurs, be it as the beginning of one, stays as it is; another becomes those of
// the index that hold it or are one or two typing mistakes away: one in words of four letters, two from seven on.
NearWords near_words(const sqlite::Database& database, std::string_view words);

}  // namespace lowrank::library
