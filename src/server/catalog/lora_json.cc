#include "server/catalog/lora_json.h"

#include <fmt/format.h>

#include "base/text/percent.h"
#include "formats/lora/lora_family.h"
#include "library/lora_words.h"

namespace lowrank::server {
namespace {

using library::Library;
using library::Record;

Json text_or_null(const std::string& text) {
  return text.empty() ? Json() : Json(text);
}

}  // namespace

Json lora_preview_url(const Record& record) {
  if (record.preview.empty()) return nullptr;
  return fmt::format("/v1/loras/{}/preview?t={:x}", percent_encode(Library::relative_name(record), ""),
                     static_cast<std::uint64_t>(record.stamp ^ record.mtime_ns));
}

double modified_seconds(const Record& record) {
  return static_cast<double>(record.mtime_ns) / 1e9;
}

Json lora_card(const Record& record, const library::Fitting& fitting, library::FittingCheckpoints& others) {
  return {{"name", record.name},
          {"alias", record.alias},
          {"relative", Library::relative_name(record)},
          {"title", record.title},
          {"type", text_or_null(record.type)},
          {"type_origin", text_or_null(record.type_origin)},
          {"kind", record.kinds},
          {"rank", library::rank_text(record.rank_low, record.rank_high)},
          {"family", formats::family_name(record.architecture)},
          {"base_model", library::base_text(record)},
          {"fits", library::fits(record, fitting)},
          {"fits_reason", library::misfit_text(record, fitting, others)},
          {"subfamily", text_or_null(record.subfamily)},
          {"subfamily_origin", text_or_null(record.subfamily_origin)},
          {"subfamily_reason", record.subfamily_reason},
          {"subfamily_conflict", record.subfamily_conflict},
          {"subfamily_hint", library::subfamily_text(record, fitting)},
          {"trigger_words", library::list_of(record.triggers)},
          {"trigger", library::trigger_text(record)},
          {"labels", library::list_of(record.tags)},
          {"preferred_weight", record.weight},
          {"rating", record.rating},
          {"preview", lora_preview_url(record)},
          {"bytes", record.size},
          {"time", modified_seconds(record)},
          {"added", record.added},
          {"creator", record.creator},
          {"source", record.source},
          {"hash", text_or_null(library::lora_hash(record))},
          {"error", text_or_null(record.problem)}};
}

bool is_field_kept(std::string_view key, const std::string& fields) {
  return fields.empty() || ("," + fields + ",").find(fmt::format(",{},", key)) != std::string::npos;
}

void keep_fields(Json& entry, const std::string& fields) {
  if (fields.empty()) return;
  Json kept = Json::object();
  for (const auto& [key, value] : entry.items())
    if (is_field_kept(key, fields)) kept[key] = value;
  entry = std::move(kept);
}

}  // namespace lowrank::server
