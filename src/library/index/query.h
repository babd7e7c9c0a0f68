// Questions to the index: words and filters in, records out.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "formats/embedding_file.h"
#include "library/index/record.h"

namespace lowrank::library {

// kName: by the file's name, wherever it lies. kPath: place, folder, name, as A1111 scans.
enum class SortBy { kName, kPath, kRelevance, kAdded, kChanged, kSize, kRating };

// A checkpoint, for "which LoRAs fit it": its layout, for which the table `fit` has every LoRA's verdict.
struct Fit {
  std::int64_t model = 0;
  formats::TextWidths text_widths = {};  // of its text encoders
};

struct Query {
  std::string kind = "lora";    // of the place table
  std::string words = {};       // all must occur, each may be the beginning of a word
  std::string match = {};       // in place of `words`: FTS5's own language, as index/spelling.h writes it
  std::string type = {};        // exactly; "none": those without a type
  std::string base_model = {};  // architecture or base model as people write it: "sd1", "SD 1.5", "pony"
  std::string subfamily = {};   // by its name or a site's; "none": those without one
  bool base_as_shown = false;   // first of all exactly the word that base_text() shows
  std::string tag = {}, trigger = {};  // exactly, without regard to case
  std::string folder = {};             // below the place, with all below it; ".": what lies in no folder
  int min_rating = 0;
  std::optional<std::int64_t> since = {}, until = {};  // seconds since 1970, first seen in between
  std::optional<std::int64_t> min_bytes = {}, max_bytes = {};
  std::optional<Fit> fits = {};
  bool only_usable = false;
  SortBy sort = SortBy::kPath;
  std::int64_t limit = 0, offset = 0;  // limit 0: all
  bool with_metadata = false;          // fills Record::metadata
};

// Gives each record to `take` and keeps none; many thousand would take much memory. `total`, where asked for: how many there
// are, whatever limit and offset say, known before the first is given. `take` asks nothing that writes.
void run_query(const sqlite::Database& database, const Query& query,
               const std::function<void(Record&&)>& take, std::int64_t* total = nullptr);
std::vector<Record> run_query(const sqlite::Database& database, const Query& query,
                              std::int64_t* total = nullptr);
// How many there are, whatever limit and offset say.
std::int64_t count_hits(const sqlite::Database& database, const Query& query);

// SQL that holds for the rows of a kind: "place IN ('lora', …)".
std::string places_of_kind(std::string_view kind);
// SQL that holds for the LoRAs that are there and can be called: a starter's file that the user has a file of the same
// path for is shadowed.
std::string shown_loras();

}  // namespace lowrank::library
