#include "library/library.h"

#include <fmt/format.h>

#include <string_view>
#include <utility>

#include "base/error.h"
#include "base/text/ascii.h"
#include "library/data_dir.h"
#include "library/index/open_index.h"
#include "library/index/read_record.h"
#include "library/index/state_dir.h"
#include "library/lora_words.h"
#include "prompt/grammar/extra_networks.h"

namespace lowrank::library {
namespace {

namespace fs = std::filesystem;

}  // namespace

Library Library::open(const DataDir& data, const ScanOptions& options, Rebuild rebuild) {
  const fs::path file = index_file(data);
  if (rebuild == Rebuild::kYes) {
    Library library(data, rebuild_index(file));
    library.rescan(options);
    carry_over(library.database_);
    return library;
  }
  Library library(data, open_index(file));
  try {
    library.rescan(options);
  } catch (const Error& error) {
    if (error.code() != kConflict) throw;
    // Damage that only reading showed.
    Library fresh(data, rebuild_index(file));
    fresh.rescan(options);
    return fresh;
  }
  return library;
}

ScanReport Library::rescan(const ScanOptions& options) {
  last_scan_ = scan(database_, data_, options);
  return last_scan_;
}

void Library::reread(const Record& record) {
  database_.prepare("UPDATE file SET stamp = -1 WHERE id = ?").bind(1, record.id).run();
  database_.prepare("DELETE FROM folder WHERE place = ? AND relative = ?")
      .bind(1, record.place)
      .bind(2, record.folder)
      .run();
  rescan();
}

fs::path Library::path_of(const Record& record) const {
  return folder_of(place_named(record.place), data_) / record.relative;
}

std::string Library::relative_name(const Record& record) {
  return is_model_file(place_named(record.place), record.relative)
             ? fs::path(record.relative).replace_extension().generic_string()
             : record.relative;
}

bool Library::scanned_before(const Record& a, const Record& b) {
  const auto rank = [](const Record& record) { return &place_named(record.place); };
  return std::pair(rank(a), std::string_view(a.sort_key)) < std::pair(rank(b), std::string_view(b.sort_key));
}

std::string Library::prompt_tag(const Record& record) const {
  if (!record.problem.empty()) return "";
  return fmt::format("<lora:{}:{}>", prompt::network_name(prompt_name(record)), weight_text(record.weight));
}

std::string Library::prompt_line(const Record& record) const {
  const std::string words = trigger_text(record), tag = prompt_tag(record);
  return words.empty() || tag.empty() ? tag : fmt::format("{}, {}", words, tag);
}

void Library::rest() const {
  // Pages of the mapped file count as this process's as long as it is mapped.
  const auto mapped = database_.number("PRAGMA mmap_size");
  database_.execute("PRAGMA shrink_memory; PRAGMA mmap_size = 0");
  database_.execute(fmt::format("PRAGMA mmap_size = {}", mapped));
}

std::int64_t Library::version() const {
  // The first counts what other connections write, the second what this one does; both only rise.
  return database_.number("PRAGMA data_version") + database_.number("SELECT total_changes()");
}

std::vector<Record> Library::select(std::string_view where,
                                    const std::function<void(sqlite::Statement&)>& bind) const {
  auto statement =
      database_.prepare(fmt::format("SELECT {} FROM file WHERE {}", record_column_list(), where));
  if (bind) bind(statement);
  std::vector<Record> records;
  while (statement.step()) records.push_back(read_record_row(statement));
  return records;
}

bool Library::hash(Record& record, std::string& problem, const std::stop_token& stop) const {
  return ensure_hashes(database_, data_, record, problem, stop);
}

void Library::keep_hashes(const Record& record, const FileHashes& hashes) const {
  library::keep_hashes(database_, record, hashes);
}

CardSources Library::card_sources(const Record& record) const {
  CardSources sources{
      .folder = record.folder, .former = {}, .overlay = overlay_of(record), .listed = nullptr};
  const fs::path folder = folder_of(place_named(record.place), data_);
  const std::string extension = fs::path(record.relative).extension().string();
  for (const std::string& name : former_names(record)) sources.former.push_back(folder / (name + extension));
  return sources;
}

fs::path Library::overlay_of(const Record& record) const {
  return overlay_sidecar(overlay_folder(data_), place_named(record.place), record.relative);
}

}  // namespace lowrank::library
