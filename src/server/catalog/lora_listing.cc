#include "server/catalog/lora_listing.h"

#include <utility>

#include "base/freed_memory.h"
#include "formats/lora/lora_family.h"
#include "library/lora_words.h"
#include "server/catalog/lora_json.h"

namespace lowrank::server {
namespace {

namespace fs = std::filesystem;
using library::Library;
using library::Record;

constexpr const char* kMetadata = "metadata";

// An entry with the metadata where they stand: they are JSON text already.
std::string entry_text(const Record& record, const fs::path& path, const std::string& fields) {
  Json before = {{"name", record.name}, {"alias", record.alias}, {"path", path.string()}};
  Json after = {{"hash", record.sshs.size() < 12 ? Json() : Json(record.sshs.substr(0, 12))},
                {"sd_version", formats::family_name(record.architecture)},
                {"kind", record.kinds},
                {"rank", library::rank_text(record.rank_low, record.rank_high)},
                {"trained_words", library::list_of(record.triggers)},
                {"preview", lora_preview_url(record)},
                {"size", record.size},
                {"mtime", modified_seconds(record)}};
  keep_fields(before, fields);
  keep_fields(after, fields);
  std::string text = "{";
  const auto add = [&](std::string_view members) {
    if (members.empty()) return;
    if (text.size() > 1) text += ',';
    text += members;
  };
  const auto inside = [](const std::string& object) { return object.substr(1, object.size() - 2); };
  add(inside(json_text(before)));
  if (is_field_kept(kMetadata, fields)) add("\"metadata\":" + record.metadata);
  add(inside(json_text(after)));
  return text + "}";
}

}  // namespace

LoraListing::LoraListing(LibraryService& library_service, fs::path folder)
    : library_service_(library_service), folder_(std::move(folder)) {}

LoraListing::Text LoraListing::list(const Library& library, const library::Query& query,
                                    const std::string& fields) const {
  auto text = std::make_shared<SpooledText>(folder_);
  text->append("[");
  bool is_first = true;
  library.each(query, [&](Record&& record) {
    if (!std::exchange(is_first, false)) text->append(",");
    text->append(entry_text(record, fs::absolute(library.path_of(record)), fields));
  });
  text->append("]");
  return text;
}

LoraListing::Text LoraListing::whole(Packing packing) {
  const std::lock_guard lock(mutex_);
  const bool is_new = library_service_.with([&](const Library& library) {
    const auto version = library.version();
    if (text_ && version == version_) return false;
    text_ = list(library, {.kind = "lora", .sort = library::SortBy::kPath, .with_metadata = true}, "");
    packed_.reset();
    version_ = version;
    library.rest();
    return true;
  });
  if (packing == Packing::kGzip && !packed_) packed_ = gzip(*text_, folder_);
  if (is_new) give_back_freed_memory();
  return packing == Packing::kGzip ? packed_ : text_;
}

LoraListing::Text LoraListing::some(library::Query query, const std::string& fields, Packing packing) {
  query.with_metadata = is_field_kept(kMetadata, fields);
  Text text = library_service_.with([&](const Library& library) { return list(library, query, fields); });
  return packing == Packing::kGzip ? gzip(*text, folder_) : text;
}

}  // namespace lowrank::server
