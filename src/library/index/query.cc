#include "library/index/query.h"

#include <fmt/format.h>

#include <algorithm>
#include <functional>

#include "base/ascii.h"
#include "library/index/place_table.h"

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
    binds.push_back([value](Statement& statement, int place) { statement.bind(place, value); });
  }
};

bool holds(const std::vector<std::string>& list, const std::string& wanted) {
  return std::ranges::any_of(list, [&](const std::string& item) { return lower_ascii(item) == wanted; });
}

// What SQL cannot ask of lists kept as JSON, and of base models that people spell in many ways.
bool passes(const Record& record, const Query& query) {
  if (!query.tag.empty()) {
    const std::string wanted = lower_ascii(query.tag);
    const auto counts = counts_of(record.caption_tags);
    if (!holds(list_of(record.tags), wanted) &&
        std::ranges::none_of(counts, [&](const auto& tag) { return lower_ascii(tag.first) == wanted; }))
      return false;
  }
  if (!query.trigger.empty()) {
    const std::string wanted = lower_ascii(query.trigger);
    if (!holds(list_of(record.triggers), wanted) &&
        lower_ascii(record.activation).find(wanted) == std::string::npos)
      return false;
  }
  if (!query.base_model.empty()) {
    const std::string wanted = squeezed(query.base_model), base = squeezed(record.base_model);
    if (squeezed(record.architecture) != wanted && (base.empty() || !base.starts_with(wanted))) return false;
  }
  return !query.fits || misfit(record, *query.fits).empty();
}

Conditions conditions_of(const Query& query) {
  Conditions where;
  std::string places;
  for (const PlaceRow& place : place_table())
    if (place.kind == query.kind) places += fmt::format("{}'{}'", places.empty() ? "" : ", ", place.name);
  where.add(fmt::format("place IN ({})", places));
  if (query.type == "none") {
    where.add("type = ''");
  } else if (!query.type.empty()) {
    where.add("type = ?", query.type);
  }
  // The full text finds candidates for a tag or trigger word; passes() looks at them exactly.
  if (!query.tag.empty())
    where.add("file.id IN (SELECT rowid FROM search WHERE search MATCH ?)",
              "tags : (" + match_text(query.tag) + ")");
  if (!query.trigger.empty())
    where.add("file.id IN (SELECT rowid FROM search WHERE search MATCH ?)",
              "triggers : (" + match_text(query.trigger) + ")");
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

}  // namespace

std::string misfit(const Record& lora, const Fit& fit) {
  if (!lora.problem.empty()) return lora.problem;
  if (lora.cross_width != 0 && fit.cross_width != 0 && lora.cross_width != fit.cross_width)
    return fmt::format("its cross-attention is {} wide, the checkpoint's {}", lora.cross_width,
                       fit.cross_width);
  if (lora.text_width != 0 && fit.text_width != 0 && lora.text_width != fit.text_width &&
      lora.unet_modules == 0)
    return fmt::format("its text encoder is {} wide, the checkpoint's {}", lora.text_width, fit.text_width);
  if (lora.cross_width == 0 && lora.text_width == 0 && !lora.architecture.empty() &&
      !fit.architecture.empty() && lora.architecture != fit.architecture)
    return fmt::format("it was made for {}, the checkpoint is {}", lora.architecture, fit.architecture);
  return "";
}

std::vector<Record> run_query(const Database& database, const Query& query) {
  const Conditions where = conditions_of(query);
  const std::string match = match_text(query.words);
  const bool is_exact = query.tag.empty() && query.trigger.empty() && query.base_model.empty() && !query.fits;
  std::string sql = fmt::format("SELECT {}, {}", record_column_list(), place_rank());
  if (match.empty()) {
    sql += fmt::format(", 0 AS relevance FROM file WHERE {}", where.sql);
  } else {
    // Names count most, then trigger words, tags, and the rest.
    sql += fmt::format(
        ", relevance FROM file JOIN (SELECT rowid AS hit, bm25(search, 10, 5, 2, 1) AS relevance FROM search "
        "WHERE search MATCH ?) ON hit = file.id WHERE {}",
        where.sql);
  }
  sql += fmt::format(" ORDER BY {}", order_of(query.sort));
  if (query.limit > 0 && is_exact) sql += fmt::format(" LIMIT {}", query.limit);
  Statement statement = database.prepare(sql);
  int place = 1;
  if (!match.empty()) statement.bind(place++, match);
  for (const auto& bind : where.binds) bind(statement, place++);
  std::vector<Record> records;
  while (statement.step()) {
    Record record = read_record_row(statement);
    if (!is_exact && !passes(record, query)) continue;
    records.push_back(std::move(record));
    if (query.limit > 0 && static_cast<std::int64_t>(records.size()) == query.limit) break;
  }
  return records;
}

}  // namespace lowrank::library
