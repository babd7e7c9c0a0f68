#include "library/index/query.h"

#include <fmt/format.h>

#include <algorithm>
#include <functional>
#include <utility>

#include "base/ascii.h"
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
    case SortBy::kName:
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

// SQL with the values that its question marks stand for.
struct Conditions {
  std::string sql = "gone IS NULL";
  std::vector<std::function<void(Statement&, int)>> binds;

  void add(std::string_view condition) { sql += fmt::format(" AND ({})", condition); }
  template <typename T>
  void add(std::string_view condition, T value) {
    add(condition);
    bind(value);
  }
  template <typename T>
  void bind(T value) {
    binds.push_back([value](Statement& statement, int place) { statement.bind(place, value); });
  }
};

// Base models are spelt in many ways, so the few pairs that occur are judged here and SQL is given those that pass.
void add_base_model(const Database& database, const Query& query, Conditions& where) {
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
  std::string sql = "0";
  for (const Pair& pair : pairs) {
    sql += " OR (architecture = ? AND base_model = ?)";
    where.bind(pair.first);
    where.bind(pair.second);
  }
  where.add(sql);
}

// Widths that are known on both sides must agree; a text encoder of another width harms only a LoRA for nothing else.
// Where nothing tells a width, the families must agree.
void add_fit(const Fit& fit, Conditions& where) {
  where.add("problem = ''");
  if (fit.cross_width != 0) where.add("cross_width IN (0, ?)", fit.cross_width);
  if (fit.text_width != 0) where.add("text_width IN (0, ?) OR unet_modules > 0", fit.text_width);
  if (!fit.architecture.empty())
    where.add("cross_width > 0 OR text_width > 0 OR architecture IN ('', ?)", fit.architecture);
}

Conditions conditions_of(const Database& database, const Query& query) {
  Conditions where;
  where.add(places_of_kind(query.kind));
  if (query.type == "none") {
    where.add("type = ''");
  } else if (!query.type.empty()) {
    where.add("type = ?", query.type);
  }
  // The full text finds candidates for a tag or trigger word; the lists themselves tell exactly.
  if (!query.tag.empty()) {
    where.add("file.id IN (SELECT rowid FROM search WHERE search MATCH ?)",
              "tags : (" + match_text(query.tag) + ")");
    where.add(
        "EXISTS (SELECT 1 FROM json_each(file.tags) WHERE lower(value) = ?) OR "
        "EXISTS (SELECT 1 FROM json_each(file.caption_tags) WHERE lower(json_extract(value, '$[0]')) = ?)",
        lower_ascii(query.tag));
    where.bind(lower_ascii(query.tag));
  }
  if (!query.trigger.empty()) {
    where.add("file.id IN (SELECT rowid FROM search WHERE search MATCH ?)",
              "triggers : (" + match_text(query.trigger) + ")");
    where.add(
        "EXISTS (SELECT 1 FROM json_each(file.triggers) WHERE lower(value) = ?) OR instr(lower(activation), "
        "?) > 0",
        lower_ascii(query.trigger));
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

// SELECT `columns` of what a query means, with `order` behind it and all values bound.
Statement prepare(const Database& database, const Query& query, const std::string& columns,
                  const std::string& order) {
  const Conditions where = conditions_of(database, query);
  const std::string match = match_text(query.words);
  std::string sql = fmt::format("SELECT {} FROM file", columns);
  // Names count most, then trigger words, tags, and the rest.
  if (!match.empty())
    sql +=
        " JOIN (SELECT rowid AS hit, bm25(search, 10, 5, 2, 1) AS score FROM search WHERE search MATCH ?) ON "
        "hit = "
        "file.id";
  Statement statement = database.prepare(fmt::format("{} WHERE {}{}", sql, where.sql, order));
  int place = 1;
  if (!match.empty()) statement.bind(place++, match);
  for (const auto& bind : where.binds) bind(statement, place++);
  return statement;
}

}  // namespace

std::string places_of_kind(std::string_view kind) {
  std::string places;
  for (const PlaceRow& place : place_table())
    if (place.kind == kind) places += fmt::format("{}'{}'", places.empty() ? "" : ", ", place.name);
  return fmt::format("place IN ({})", places);
}

std::vector<Record> run_query(const Database& database, const Query& query) {
  std::string order = fmt::format(" ORDER BY {}", order_of(query.sort));
  if (query.limit > 0 || query.offset > 0)
    order += fmt::format(" LIMIT {} OFFSET {}", query.limit > 0 ? query.limit : -1, query.offset);
  Statement statement = prepare(database, query,
                                fmt::format("{}, {}, {} AS relevance", record_column_list(), place_rank(),
                                            match_text(query.words).empty() ? "0" : "score"),
                                order);
  std::vector<Record> records;
  while (statement.step()) records.push_back(read_record_row(statement));
  return records;
}

std::int64_t count_hits(const Database& database, const Query& query) {
  Statement statement = prepare(database, query, "count(*)", "");
  return statement.step() ? statement.integer(0) : 0;
}

}  // namespace lowrank::library
