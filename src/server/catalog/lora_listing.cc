#include "server/catalog/lora_listing.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>
#include <vector>

#include "base/freed_memory.h"
#include "base/parallel.h"
#include "formats/lora_family.h"
#include "library/index/network_folder.h"
#include "library/lora_folder.h"
#include "library/lora_words.h"
#include "server/http/gzip.h"
#include "server/routes/lora_json.h"

namespace lowrank::server {
namespace {

namespace fs = std::filesystem;
using library::Library;
using library::Record;

// An entry around its metadata, which stand between the two.
std::pair<std::string, std::string> frame_of(const Record& record, const fs::path& path) {
  std::string before =
      json_text(Json{{"name", record.name}, {"alias", record.alias}, {"path", path.string()}});
  before.back() = ',';
  before += "\"metadata\":";
  std::string after =
      json_text(Json{{"hash", record.sshs.size() < 12 ? Json() : Json(record.sshs.substr(0, 12))},
                     {"sd_version", formats::family_name(record.architecture)},
                     {"kind", record.kinds},
                     {"rank", library::rank_text(record.rank_low, record.rank_high)},
                     {"trained_words", library::list_of(record.triggers)},
                     {"preview", lora_preview_url(record)},
                     {"size", record.size},
                     {"mtime", modified_seconds(record)}});
  after.front() = ',';
  return {std::move(before), std::move(after)};
}

std::string read_metadata(const fs::path& path) {
  return json_text(a1111_metadata(library::safetensors_metadata(path)));
}

}  // namespace

LoraListing::LoraListing(Collection& collection, fs::path folder)
    : collection_(collection), folder_(std::move(folder)), thread_([this](const std::stop_token& stop) {
        try {
          const fs::path loras =
              collection_.with([](const Library& library) { return library.data().loras(); });
          if (library::is_network_folder(loras)) return;
          const std::lock_guard lock(mutex_);
          bring_up_to_date(stop);
        } catch (const std::exception& error) {
          fmt::print(stderr, "warning: {}\n", error.what());
        }
      }) {}

LoraListing::~LoraListing() = default;

std::string LoraListing::metadata_text(const Record& record, const fs::path& path) const {
  const auto known = std::ranges::lower_bound(places_, record.id, {}, &Place::id);
  if (known != places_.end() && known->id == record.id && known->size == record.size &&
      known->mtime_ns == record.mtime_ns && known->inode == record.inode)
    return text_->read(known->begin, known->length);
  return read_metadata(path);
}

void LoraListing::read_what_changed(const std::stop_token& stop) {
  const auto now = collection_.with([&](const Library& library) {
    std::pair<std::int64_t, std::vector<std::pair<Record, fs::path>>> found{library.version(), {}};
    if (found.first == version_) return found;
    for (Record& record : library.find({.kind = "lora", .sort = library::SortBy::kPath})) {
      fs::path path = fs::absolute(library.path_of(record));
      found.second.emplace_back(std::move(record), std::move(path));
    }
    return found;
  });
  if (text_ && now.first == version_) return;
  const auto& files = now.second;
  std::vector<std::string> metadata(files.size());
  parallel_for(static_cast<std::int64_t>(files.size()), 0, [&](std::int64_t i) {
    if (stop.stop_requested()) return;
    const auto& [record, path] = files[static_cast<std::size_t>(i)];
    metadata[static_cast<std::size_t>(i)] = metadata_text(record, path);
  });
  if (stop.stop_requested()) return;
  std::vector<Place> places;
  places.reserve(files.size());
  std::string text = "[";
  std::size_t bytes = 2;
  for (const std::string& each : metadata) bytes += each.size() + 1024;
  text.reserve(bytes);
  for (std::size_t i = 0; i < files.size(); ++i) {
    const auto& [record, path] = files[i];
    const auto [before, after] = frame_of(record, path);
    if (i > 0) text += ',';
    text += before;
    places.push_back(
        {record.id, record.size, record.mtime_ns, record.inode, text.size(), metadata[i].size()});
    text += metadata[i];
    text += after;
  }
  text += ']';
  std::ranges::sort(places, {}, &Place::id);
  text_ = std::make_shared<const KeptText>(std::move(text), folder_);
  packed_.reset();
  places_ = std::move(places);
  version_ = now.first;
}

// Reading a large collection takes memory that nothing else will take again.
void LoraListing::bring_up_to_date(const std::stop_token& stop) {
  const auto before = version_;
  read_what_changed(stop);
  if (version_ == before) return;
  collection_.with([](const Library& library) { library.rest(); });
  give_back_freed_memory();
}

LoraListing::Text LoraListing::whole() {
  const std::lock_guard lock(mutex_);
  bring_up_to_date();
  return text_;
}

LoraListing::Text LoraListing::whole_packed() {
  const std::lock_guard lock(mutex_);
  bring_up_to_date();
  if (!packed_) {
    packed_ = std::make_shared<const KeptText>(gzip(text_->read(0, text_->size())), folder_);
    give_back_freed_memory();
  }
  return packed_;
}

std::string lora_entry(const Record& record, const fs::path& path, FileMetadata metadata) {
  const auto [before, after] = frame_of(record, fs::absolute(path));
  return before + (metadata == FileMetadata::kRead ? read_metadata(path) : "{}") + after;
}

}  // namespace lowrank::server
