#include "library/index/query.h"
#include "formats/subfamily.h"

#include <fmt/format.h>

#include <algorithm>
#include <functional>
#include <nlohmann/json.hpp>
#include <utility>

#include "base/text/ascii.h"
#include "formats/natural_order.h"
#include "library/index/metadata_text.h"
#include "library/index/place_table.h"
#include "library/lora_words.h"

namespace lowrank::library {
namespace {

// "SD 1.5", "sd1" and "SD1" mean one thing.
std::string squeezed(std::string_view text) {
  std::string out;
  for (const char c : lower_ascii(text))
    if ((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9')) out += c;
  return out;
}

// Each word as a quoted prefix: nothing that a user types is FTS5's syntax.
std::string match_text(std::string_view words) {
  std::string match, word;
  const auto flush = [&] {
    if (!word.empty()) match += (match.empty() ? "\"" : " \"") + word + "\"*";
    word.clear();
  };
  for (const char c : words) {
    if (c == ' ' || c == '\t' || c == '\n') {
      flush();
    } else if (c == '"') {
      word += "\"\"";
    } else {
      word += c;
    }
  }
  flush();
  return match;
}

std::string_view order_of(SortBy sort) {
  switch (sort) {
    case SortBy::kName:  // sorted once more behind SQL, which knows no natural order of the name alone
    case SortBy::kPath:
      return "place_rank, sort_key";
    case SortBy::kRelevance:
      return "relevance, place_rank, sort_key";
    case SortBy::kAdded:
      return "added DESC, place_rank, sort_key";
    case SortBy::kChanged:
      return "mtime DESC, place_rank, sort_key";
    case SortBy::kSize:
      return "size DESC, place_rank, sort_key";
    case SortBy::kRating:
      return "rating DESC, place_rank, sort_key";
  }
  return "place_rank, sort_key";
}

// As it stands in the index's JSON.
std::string quoted(const std::string& word) {
  return nlohmann::json(lower_ascii(word)).dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

// SQL with the values that its question marks stand for.
struct Conditions {
  std::string sql = "gone IS NULL";
  std::vector<std::function<void(sqlite::Statement&, int)>> binds;

  void add(std::string_view condition) { sql += fmt::format(" AND ({})", condition); }
  template <typename T>
  void add(std::string_view condition, T value) {
    add(condition);
    bind(value);
  }
  // The word is an element of a column with a JSON list, in whatever case; or the condition holds. Looked for
  // as written there, between a bracket or comma and quotes that no text inside can look like: far
  // cheaper than to parse the list.
  void add_listed(std::string_view column, const std::string& word, std::string_view or_else) {
    add(fmt::format("instr(lower({0}), ?) > 0 OR instr(lower({0}), ?) > 0 OR {1}", column, or_else));
    bind("[" + quoted(word));
    bind("," + quoted(word));
  }
  template <typename T>
  void bind(T value) {
    binds.push_back([value](sqlite::Statement& statement, int place) { statement.bind(place, value); });
  }
};

// Base models are spelt in many ways, so the few pairs that occur are judged here and SQL is given those that pass.
void add_base_model(const sqlite::Database& database, const Query& query, Conditions& where) {
  using Pair = std::pair<std::string, std::string>;  // architecture, base model
  std::vector<Pair> shown, meant;
  const std::string wanted = squeezed(query.base_model);
  auto statement = database.prepare("SELECT DISTINCT architecture, base_model FROM file WHERE gone IS NULL");
  while (statement.step()) {
    Pair pair{statement.text(0), statement.text(1)};
    if (base_text(pair.first, pair.second) == query.base_model) shown.push_back(pair);
    const std::string base = squeezed(pair.second);
    if (!wanted.empty() && (squeezed(pair.first) == wanted || base.starts_with(wanted)))
      meant.push_back(pair);
  }
  const auto& pairs = query.base_as_shown && !shown.empty() ? shown : meant;
  std::string sql = "size < 0";  // never; a constant would keep SQLite from the index
  for (const Pair& pair : pairs) {
    sql += " OR (architecture = ? AND base_model = ?)";
    where.bind(pair.first);
    where.bind(pair.second);
  }
  where.add(sql);
}

void add_fit(const Fit& fit, Conditions& where) {
  where.add("problem = ''");
  where.add("layout IN (SELECT layout FROM fit WHERE model = ? AND applies)", fit.model);
}

Conditions conditions_of(const sqlite::Database& database, const Query& query) {
  Conditions where;
  where.add(query.kind == "lora" ? shown_loras() : places_of_kind(query.kind));
  if (query.folder == ".") {
    where.add("folder = ''");
  } else if (!query.folder.empty()) {
    where.add("folder = ? OR substr(folder, 1, ?) = ?", query.folder);
    where.bind(static_cast<std::int64_t>(query.folder.size() + 1));
    where.bind(query.folder + "/");
  }
  if (query.type == "none") {
    where.add("type = ''");
  } else if (!query.type.empty()) {
    where.add("type = ?", query.type);
  }
  if (query.subfamily == "none") {
    where.add("subfamily = ''");
  } else if (!query.subfamily.empty()) {
    const auto* row = formats::subfamily_named(query.subfamily);
    where.add("subfamily = ?", std::string(row == nullptr ? query.subfamily : row->name));
  }
  // The full text finds candidates for a tag or trigger word; the lists themselves tell exactly.
  if (!query.tag.empty()) {
    where.add("file.id IN (SELECT rowid FROM search WHERE search MATCH ?)",
              "tags : (" + match_text(query.tag) + ")");
    where.add_listed("tags", query.tag, "instr(lower(caption_tags), ?) > 0");
    where.bind("[" + quoted(query.tag) + ",");
  }
  if (!query.trigger.empty()) {
    where.add("file.id IN (SELECT rowid FROM search WHERE search MATCH ?)",
              "triggers : (" + match_text(query.trigger) + ")");
    where.add_listed("triggers", query.trigger, "instr(lower(activation), ?) > 0");
    where.bind(lower_ascii(query.trigger));
  }
  if (!query.base_model.empty()) add_base_model(database, query, where);
  if (query.fits) add_fit(*query.fits, where);
  if (query.min_rating > 0) where.add("rating >= ?", static_cast<std::int64_t>(query.min_rating));
  if (query.since) where.add("added >= ?", *query.since);
  if (query.until) where.add("added <= ?", *query.until);
  if (query.min_bytes) where.add("size >= ?", *query.min_bytes);
  if (query.max_bytes) where.add("size <= ?", *query.max_bytes);
  if (query.only_usable) where.add("problem = ''");
  return where;
}

// The starter's files come first, as they are scanned.
std::string place_rank() {
  std::string sql = "CASE place";
  int rank = 0;
  for (const PlaceRow& place : place_table()) sql += fmt::format(" WHEN '{}' THEN {}", place.name, rank++);
  return sql + " END AS place_rank";
}

// What the full text is asked, "" nothing.
std::string full_text_of(const Query& query) {
  return query.match.empty() ? match_text(query.words) : query.match;
}

// Whether the index of filters has all that is asked for.
bool is_in_index(const Query& query) {
  return query.tag.empty() && query.trigger.empty() && full_text_of(query).empty();
}

// FROM and WHERE of what a query means. SQLite must not choose to ask the full text about every file in turn.
std::string from_where(const Query& query, const Conditions& where) {
  // Names count most, then trigger words, tags, and the rest.
  const std::string_view found = full_text_of(query).empty()
                                     ? ""
                                     : "(SELECT rowid AS hit, bm25(search, 10, 5, 2, 1) AS score FROM search "
                                       "WHERE search MATCH ?) CROSS JOIN ";
  // Nor to read the rows when an index has all that is asked.
  return fmt::format("FROM {}file {}WHERE {}{}", found, is_in_index(query) ? "INDEXED BY file_filter " : "",
                     found.empty() ? "" : "hit = file.id AND ", where.sql);
}

sqlite::Statement prepare(const sqlite::Database& database, const Query& query, const Conditions& where,
                          const std::string& sql) {
  sqlite::Statement statement = database.prepare(sql);
  int place = 1;
  if (const std::string match = full_text_of(query); !match.empty()) statement.bind(place++, match);
  for (const auto& bind : where.binds) bind(statement, place++);
  return statement;
}

std::int64_t count_where(const sqlite::Database& database, const Query& query, const Conditions& where) {
  sqlite::Statement statement =
      prepare(database, query, where, "SELECT count(*) " + from_where(query, where));
  return statement.step() ? statement.integer(0) : 0;
}

}  // namespace

std::string places_of_kind(std::string_view kind) {
  std::string places;
  for (const PlaceRow& place : place_table())
    if (place.kind == kind) places += fmt::format("{}'{}'", places.empty() ? "" : ", ", place.name);
  return fmt::format("place IN ({})", places);
}

std::string shown_loras() {
  return fmt::format(
      "file.gone IS NULL AND file.{} AND (file.place <> 'starter-lora' OR NOT EXISTS (SELECT 1 FROM file AS "
      "own WHERE own.place = 'lora' AND own.relative = file.relative AND own.gone IS NULL))",
      places_of_kind("lora"));
}

// First which files, which the indices tell (migrations/003_filters.sql), then the rows to be shown.
void run_query(const sqlite::Database& database, const Query& query,
               const std::function<void(Record&&)>& take, std::int64_t* total) {
  const Conditions where = conditions_of(database, query);
  const bool is_scored = query.sort == SortBy::kRelevance && !full_text_of(query).empty();
  const bool by_name = query.sort == SortBy::kName;
  // Where finding is the dear part, all are found once and counted; by name all must be there to be sorted.
  const bool count_here = by_name || (total != nullptr && !is_in_index(query));
  std::string limit;
  if (!count_here && (query.limit > 0 || query.offset > 0))
    limit = fmt::format(" LIMIT {} OFFSET {}", query.limit > 0 ? query.limit : -1, query.offset);
  sqlite::Statement which =
      prepare(database, query, where,
              fmt::format("SELECT file.id, {} AS relevance, {}{} {} ORDER BY {}{}", is_scored ? "score" : "0",
                          place_rank(), by_name ? ", name" : "", from_where(query, where),
                          order_of(query.sort), limit));
  std::vector<std::int64_t> ids;
  std::vector<std::pair<std::string, std::int64_t>> named;
  while (which.step())
    if (by_name)
      named.emplace_back(formats::natural_key(which.text(3)), which.integer(0));
    else
      ids.push_back(which.integer(0));
  std::ranges::stable_sort(named, {}, &std::pair<std::string, std::int64_t>::first);
  for (const auto& [key, id] : named) ids.push_back(id);
  if (count_here) {
    const std::int64_t count = std::ssize(ids);
    if (total != nullptr) *total = count;
    ids.erase(ids.begin(), ids.begin() + std::min(query.offset, count));
    if (query.limit > 0 && query.limit < std::ssize(ids)) ids.resize(static_cast<std::size_t>(query.limit));
  } else if (total != nullptr) {
    *total = limit.empty() ? std::ssize(ids) : count_where(database, query, where);
  }
  sqlite::Statement row =
      database.prepare(fmt::format("SELECT {} FROM file WHERE id = ?", record_column_list()));
  sqlite::Statement metadata = database.prepare("SELECT packed FROM metadata WHERE file = ?");
  for (const std::int64_t id : ids) {
    row.reset();
    row.bind(1, id);
    if (!row.step()) continue;
    Record record = read_record_row(row);
    if (query.with_metadata) {
      metadata.reset();
      metadata.bind(1, id);
      record.metadata = metadata.step() ? unpack_text(metadata.text(0)) : "{}";
    }
    take(std::move(record));
  }
}

std::vector<Record> run_query(const sqlite::Database& database, const Query& query, std::int64_t* total) {
  std::vector<Record> records;
  run_query(
      database, query, [&](Record&& record) { records.push_back(std::move(record)); }, total);
  return records;
}

std::int64_t count_hits(const sqlite::Database& database, const Query& query) {
  return count_where(database, query, conditions_of(database, query));
}

}  // namespace lowrank::library
