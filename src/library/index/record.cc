#include "library/index/record.h"

#include <fmt/format.h>

#include <nlohmann/json.hpp>
#include <type_traits>

#include "library/index/metadata_text.h"

namespace lowrank::library {
namespace {

using nlohmann::json;

std::string joined_columns(const char* format) {
  std::string text;
  for (const ColumnRow& column : record_columns()) {
    if (!text.empty()) text += ", ";
    text += fmt::format(fmt::runtime(format), column.name);
  }
  return text;
}

std::string insert_sql() {
  // Another process may have seen the file in the meantime.
  return fmt::format(
      "INSERT INTO file ({}) VALUES ({}) ON CONFLICT (place, relative) DO UPDATE SET {}, gone = NULL "
      "RETURNING id",
      joined_columns("{0}"), joined_columns("?"), joined_columns("{0} = excluded.{0}"));
}

std::string update_sql() {
  return fmt::format("UPDATE OR REPLACE file SET {}, gone = NULL WHERE id = ?", joined_columns("{0} = ?"));
}

void bind_columns(sqlite::Statement& statement, const Record& record) {
  int place = 1;
  for (const ColumnRow& column : record_columns()) {
    std::visit(
        [&](auto member) {
          const auto& value = record.*member;
          if constexpr (std::is_same_v<std::remove_cvref_t<decltype(value)>, std::string>) {
            if (column.may_be_null && value.empty()) {
              statement.bind_null(place);
              return;
            }
            if (member == &Record::sort_key) {
              statement.bind_blob(place, value);
              return;
            }
          }
          statement.bind(place, value);
        },
        column.member);
    ++place;
  }
}

std::string words_of(const std::vector<std::string>& words) {
  return fmt::format("{}", fmt::join(words, "\n"));
}

// "RedFox_v2SDXLBase" as "Red Fox_v 2 SDXL Base": the full text splits at blanks and signs only.
std::string split_name(const std::string& name) {
  enum Kind { kLower, kUpper, kDigit, kOther };
  const auto kind_at = [&](std::size_t at) {
    if (at >= name.size()) return kOther;
    const char c = name[at];
    return c >= 'a' && c <= 'z'   ? kLower
           : c >= 'A' && c <= 'Z' ? kUpper
           : c >= '0' && c <= '9' ? kDigit
                                  : kOther;
  };
  std::string words;
  for (std::size_t i = 0; i < name.size(); ++i) {
    const Kind before = i == 0 ? kOther : kind_at(i - 1), here = kind_at(i);
    const bool ends_capitals = before == kUpper && here == kUpper && kind_at(i + 1) == kLower;
    const bool begins_word =
        before != kOther && here != kOther && before != here && !(before == kUpper && here == kLower);
    if (begins_word || ends_capitals) words += ' ';
    words += name[i];
  }
  return words;
}

}  // namespace

std::span<const ColumnRow> record_columns() {
  using R = Record;
  static const ColumnRow kColumns[] = {
      {"place", &R::place},
      {"folder", &R::folder},
      {"relative", &R::relative},
      {"sort_key", &R::sort_key},
      {"size", &R::size},
      {"mtime", &R::mtime_ns},
      {"ctime", &R::ctime_ns},
      {"inode", &R::inode},
      {"device", &R::device},
      {"stamp", &R::stamp},
      {"header", &R::header},
      {"layout", &R::layout},
      {"added", &R::added},
      {"name", &R::name},
      {"alias", &R::alias},
      {"title", &R::title},
      {"sha256", &R::sha256, true},
      {"autov1", &R::autov1, true},
      {"addnet", &R::addnet, true},
      {"sshs", &R::sshs, true},
      {"sshs_legacy", &R::sshs_legacy, true},
      {"problem", &R::problem},
      {"architecture", &R::architecture},
      {"base_reason", &R::base_reason},
      {"kinds", &R::kinds},
      {"rank_low", &R::rank_low},
      {"rank_high", &R::rank_high},
      {"cross_width", &R::cross_width},
      {"native_size", &R::native_size},
      {"text_width", &R::text_width},
      {"text_width_2", &R::text_width_2},
      {"unet_modules", &R::unet_modules},
      {"text_modules", &R::text_modules},
      {"base_model", &R::base_model},
      {"type", &R::type},
      {"type_origin", &R::type_origin},
      {"type_reason", &R::type_reason},
      {"subfamily", &R::subfamily},
      {"subfamily_origin", &R::subfamily_origin},
      {"subfamily_reason", &R::subfamily_reason},
      {"subfamily_conflict", &R::subfamily_conflict},
      {"triggers", &R::triggers},
      {"tags", &R::tags},
      {"caption_tags", &R::caption_tags},
      {"activation", &R::activation},
      {"negative", &R::negative},
      {"description", &R::description},
      {"notes", &R::notes},
      {"weight", &R::weight},
      {"rating", &R::rating},
      {"preview", &R::preview},
      {"creator", &R::creator},
      {"source", &R::source},
      {"civitai_model", &R::civitai_model},
      {"civitai_version", &R::civitai_version},
  };
  return kColumns;
}

const std::string& record_column_list() {
  static const std::string kList = "id, " + joined_columns("{0}");
  return kList;
}

Record read_record_row(const sqlite::Statement& statement) {
  Record record;
  record.id = statement.integer(0);
  int place = 1;
  for (const ColumnRow& column : record_columns()) {
    std::visit(
        [&](auto member) {
          using T = std::remove_cvref_t<decltype(record.*member)>;
          if constexpr (std::is_same_v<T, std::string>) {
            record.*member = statement.text(place);
          } else if constexpr (std::is_same_v<T, double>) {
            record.*member = statement.number(place);
          } else {
            record.*member = statement.integer(place);
          }
        },
        column.member);
    ++place;
  }
  return record;
}

RecordWriter::RecordWriter(const sqlite::Database& database)
    : insert_(database.prepare(insert_sql())),
      update_(database.prepare(update_sql())),
      remove_text_(database.prepare("DELETE FROM search WHERE rowid = ?")),
      insert_text_(
          database.prepare("INSERT INTO search (rowid, names, triggers, tags, text) VALUES (?, ?, ?, ?, ?)")),
      remove_metadata_(database.prepare("DELETE FROM metadata WHERE file = ?")),
      insert_metadata_(database.prepare("INSERT INTO metadata (file, packed) VALUES (?, ?)")) {}

std::int64_t RecordWriter::write(const Record& record) {
  std::int64_t id = record.id;
  if (id == 0) {
    bind_columns(insert_, record);
    if (insert_.step()) id = insert_.integer(0);
    insert_.run();
  } else {
    bind_columns(update_, record);
    update_.bind(static_cast<int>(record_columns().size()) + 1, id).run();
  }
  remove_text_.bind(1, id).run();
  std::vector<std::string> tags = list_of(record.tags);
  for (auto& [tag, count] : counts_of(record.caption_tags)) tags.push_back(std::move(tag));
  insert_text_.bind(1, id)
      .bind(2, words_of({record.relative, record.alias, record.title, record.creator, split_name(record.name),
                         split_name(record.alias)}))
      .bind(3, words_of(list_of(record.triggers)) + "\n" + record.activation)
      .bind(4, words_of(tags))
      .bind(5, words_of({record.type, record.notes, record.description}))
      .run();
  remove_metadata_.bind(1, id).run();
  if (!record.metadata.empty()) insert_metadata_.bind(1, id).bind_blob(2, pack_text(record.metadata)).run();
  return id;
}

std::vector<std::string> list_of(const std::string& text) {
  std::vector<std::string> words;
  const json list = json::parse(text, nullptr, false);
  if (list.is_array())
    for (const auto& item : list)
      if (item.is_string()) words.push_back(item.get<std::string>());
  return words;
}

std::vector<std::pair<std::string, long>> counts_of(const std::string& text) {
  std::vector<std::pair<std::string, long>> counts;
  const json list = json::parse(text, nullptr, false);
  if (list.is_array())
    for (const auto& item : list)
      if (item.is_array() && item.size() == 2 && item[0].is_string() && item[1].is_number_integer())
        counts.emplace_back(item[0].get<std::string>(), item[1].get<long>());
  return counts;
}

}  // namespace lowrank::library
