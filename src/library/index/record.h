// One model file as the index knows it: a row of the table `file`.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "sqlite/database.h"

namespace lowrank::library {

struct Record {
  std::int64_t id = 0;
  // where
  std::string place;     // a row of place_table.h
  std::string folder;    // below the place, "" the place itself
  std::string relative;  // below the place, with extension
  std::string sort_key;
  // the file as last seen
  std::int64_t size = 0, mtime_ns = 0, inode = 0, device = 0;
  std::int64_t ctime_ns = 0;  // 0: seen before the index kept it
  std::int64_t stamp = 0;     // of the files beside it
  std::int64_t header = 0;    // digest of a safetensors header; 0: none
  std::int64_t added = 0;     // seconds since 1970, first seen
  // names
  std::string name, alias, title;
  // hashes, lower-case hexadecimal; "" not computed, or nothing there to compute them of
  std::string sha256, autov1, addnet, sshs, sshs_legacy;
  // what it is
  // Formats::LoraSummary's, of a checkpoint formats::layout_digest(); 0: it has a problem
  std::int64_t layout = 0;
  std::string problem, architecture, base_reason, kinds;
  std::int64_t rank_low = 0, rank_high = 0, cross_width = 0, unet_modules = 0, text_modules = 0;
  std::int64_t native_size = 0;                   // of a checkpoint, pixels
  std::int64_t text_width = 0, text_width_2 = 0;  // of the first or only text encoder, and of SDXL's second
  // what people say of it
  std::string base_model, type, type_origin, type_reason;
  std::string subfamily, subfamily_origin, subfamily_reason, subfamily_conflict;  // formats::Subfamily's
  std::string triggers = "[]", tags = "[]", caption_tags = "[]";                  // JSON
  std::string activation, negative, description, notes;
  double weight = 0;
  std::int64_t rating = 0;
  std::string preview, creator, source;
  std::int64_t civitai_model = 0, civitai_version = 0;
  // A LoRA's metadata as metadata_text() gives them. In a table of its own: read where Query::with_metadata asks for them,
  // written always.
  std::string metadata;
};

// The columns of a record but `id`, in one list, from which all SQL is made. Texts that are "" are stored as
// NULL in columns that may be.
using RecordMember = std::variant<std::int64_t Record::*, double Record::*, std::string Record::*>;
struct ColumnRow {
  const char* name;
  RecordMember member;
  bool may_be_null = false;
};
std::span<const ColumnRow> record_columns();

// "id, place, folder, …" for SELECT, and the row that such a statement stands on.
const std::string& record_column_list();
Record read_record_row(const sqlite::Statement& statement);

// Inserts a record (id 0) or overwrites the one with its id, its full text and its metadata. Returns the id.
class RecordWriter {
 public:
  explicit RecordWriter(const sqlite::Database& database);
  std::int64_t write(const Record& record);

 private:
  sqlite::Statement insert_, update_, remove_text_, insert_text_, remove_metadata_, insert_metadata_;
};

// Texts of a JSON list of strings; [] for anything else. And of a list of [text, count].
std::vector<std::string> list_of(const std::string& json);
std::vector<std::pair<std::string, long>> counts_of(const std::string& json);

}  // namespace lowrank::library
