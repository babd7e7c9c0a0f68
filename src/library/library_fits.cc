// Which LoRAs fit a checkpoint: the verdict of formats::fit_lora(), kept by layout, as most files share theirs with others.
#include <fmt/format.h>

#include <vector>

#include "base/error.h"
#include "formats/checkpoint/partial_checkpoint.h"
#include "formats/lora/lora_fit.h"
#include "library/index/read_record.h"
#include "library/library.h"

namespace lowrank::library {
namespace {

namespace fs = std::filesystem;

struct Unjudged {
  std::int64_t layout = 0, id = 0;  // of one file that has it
};

formats::TextWidths text_widths_of(const Record& record) {
  formats::TextWidths widths;
  if (record.text_width > 0) widths.emplace(formats::Component::kTextEncoder, record.text_width);
  if (record.text_width_2 > 0) widths.emplace(formats::Component::kTextEncoder2, record.text_width_2);
  return widths;
}

std::vector<Unjudged> unjudged(const sqlite::Database& database, std::int64_t model) {
  auto statement = database.prepare(
      fmt::format("SELECT layout, min(id) FROM file WHERE {} AND problem = '' AND layout <> 0 AND layout NOT "
                  "IN (SELECT layout FROM fit WHERE model = ?) GROUP BY layout",
                  shown_loras()));
  statement.bind(1, model);
  std::vector<Unjudged> all;
  while (statement.step()) all.push_back({statement.integer(0), statement.integer(1)});
  return all;
}

}  // namespace

fs::path where_is(const fs::path& path) {
  return fs::absolute(path).lexically_normal();
}

std::map<fs::path, Record> Library::checkpoint_records() const {
  std::map<fs::path, Record> records;
  for (Record& record : find({.kind = "checkpoint"})) {
    fs::path place = where_is(path_of(record));
    records.emplace(std::move(place), std::move(record));
  }
  return records;
}

std::optional<Record> Library::checkpoint_record(const fs::path& checkpoint) const {
  std::error_code failure;
  for (Record& record : find({.kind = "checkpoint"}))
    if (fs::equivalent(path_of(record), checkpoint, failure)) return std::move(record);
  return std::nullopt;
}

Fit Library::unjudged_fit_of(const fs::path& checkpoint) const {
  if (const auto record = checkpoint_record(checkpoint); record && record->layout != 0)
    return {record->layout, text_widths_of(*record)};
  // The starter, or a file from elsewhere.
  const auto opened = formats::open_without_vae(checkpoint);
  return {formats::layout_digest(opened), formats::layers_of(opened).text_widths};
}

Fit Library::fit_of(const fs::path& checkpoint) const {
  const Fit fit = unjudged_fit_of(checkpoint);
  const auto rest = unjudged(database_, fit.model);
  if (rest.empty()) return fit;
  const auto layers = formats::layers_of(formats::open_without_vae(checkpoint));
  sqlite::Transaction transaction(database_);
  database_.execute("DELETE FROM fit WHERE layout NOT IN (SELECT layout FROM file)");
  auto keep = database_.prepare("INSERT OR REPLACE INTO fit (layout, model, applies) VALUES (?, ?, ?)");
  for (const Unjudged& one : rest) {
    const auto record = find_id(one.id);
    if (!record) continue;
    try {
      const bool applies = formats::fit_lora(formats::open_lora(path_of(*record)), layers).applies();
      keep.reset();
      keep.bind(1, one.layout);
      keep.bind(2, fit.model);
      keep.bind(3, static_cast<std::int64_t>(applies));
      keep.step();
    } catch (const Error&) {
      // It changed a moment ago: the next scan tells what it is.
    }
  }
  transaction.commit();
  return fit;
}

std::set<std::int64_t> Library::fitting_layouts(const Fit& fit) const {
  auto statement = database_.prepare("SELECT layout FROM fit WHERE model = ? AND applies");
  statement.bind(1, fit.model);
  std::set<std::int64_t> layouts;
  while (statement.step()) layouts.insert(statement.integer(0));
  return layouts;
}

}  // namespace lowrank::library
