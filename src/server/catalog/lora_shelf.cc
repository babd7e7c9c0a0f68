#include "server/catalog/lora_shelf.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <set>

#include "base/atomic_file.h"
#include "base/error.h"
#include "formats/lora_file.h"
#include "server/json.h"

namespace lowrank::server {
namespace {

namespace fs = std::filesystem;

fs::path sidecar(const fs::path& path) {
  return fs::path(path).replace_extension(".json");
}

std::string_view family_name(formats::BaseModel base) {
  switch (base) {
    case formats::BaseModel::kSd1:
      return "SD 1.x";
    case formats::BaseModel::kSd2:
      return "SD 2.x";
    case formats::BaseModel::kSdxl:
      return "SDXL";
    case formats::BaseModel::kOther:
      break;
  }
  return "other";
}

// Changes when the file, its sidecars or its preview do.
std::string version_of(const fs::path& path) {
  std::string version;
  for (const char* ending : {"", ".json", ".civitai.info", ".txt", ".png", ".preview.png", ".jpg", ".webp"}) {
    const fs::path file = *ending == 0 ? path : fs::path(path).replace_extension(ending);
    std::error_code failure;
    const auto time = fs::last_write_time(file, failure);
    version += failure ? "-" : fmt::format("{},", time.time_since_epoch().count());
  }
  return version;
}

RequestJson read_sidecar(const fs::path& path) {
  std::error_code failure;
  if (!fs::is_regular_file(sidecar(path), failure)) return RequestJson::object();
  RequestJson value = RequestJson::parse(read_file(sidecar(path), 16u << 20), nullptr, false);
  return value.is_object() ? value : RequestJson::object();
}

void read_contents(LoraFacts& facts) {
  const auto lora = formats::open_lora(facts.place.path);
  facts.metadata = lora.file->metadata();
  facts.family = family_name(lora.base_model);
  facts.family_reason = lora.base_model_reason;
  facts.fits = lora.base_model == formats::BaseModel::kSd1;
  std::set<std::string> kinds;
  std::int64_t low = 0, high = 0;
  for (const auto& entry : lora.entries) {
    kinds.insert(std::string(formats::adapter_kind_name(entry.kind)));
    if (entry.rank == 0) continue;
    low = low == 0 ? entry.rank : std::min(low, entry.rank);
    high = std::max(high, entry.rank);
  }
  facts.kind = fmt::format("{}", fmt::join(kinds, "+"));
  if (high > 0) facts.rank = low == high ? fmt::format("{}", low) : fmt::format("{} to {}", low, high);
}

}  // namespace

std::shared_ptr<const LoraFacts> LoraShelf::facts(const library::LoraPlace& place) {
  const std::string version = version_of(place.path);
  {
    const std::lock_guard lock(mutex_);
    const auto found = known_.find(place.path);
    if (found != known_.end() && found->second.first == version) return found->second.second;
  }
  auto facts = std::make_shared<LoraFacts>();
  facts->place = place;
  std::error_code failure;
  facts->bytes = fs::file_size(place.path, failure);
  facts->time =
      std::chrono::duration<double>(
          std::chrono::file_clock::to_sys(fs::last_write_time(place.path, failure)).time_since_epoch())
          .count();
  try {
    read_contents(*facts);
  } catch (const std::exception& error) {
    facts->error = error.what();
  }
  facts->card = library::read_lora_card(place.path, facts->metadata);
  const RequestJson user = read_sidecar(place.path);
  if (const auto type = user.find("type"); type != user.end() && type->is_string()) facts->type = *type;
  if (const auto rating = user.find("rating"); rating != user.end() && rating->is_number_integer())
    facts->rating = std::clamp(rating->get<int>(), 0, 5);
  const std::lock_guard lock(mutex_);
  known_[place.path] = {version, facts};
  return facts;
}

std::vector<std::shared_ptr<const LoraFacts>> LoraShelf::all() {
  std::vector<std::shared_ptr<const LoraFacts>> list;
  const auto folder = library::LoraFolder::scan(data_);
  for (const auto& place : folder.files()) list.push_back(facts(place));
  return list;
}

std::shared_ptr<const LoraFacts> LoraShelf::find(const std::string& name) {
  const auto folder = library::LoraFolder::scan(data_);
  const auto path = folder.find(name);
  if (!path) return nullptr;
  const auto place = std::ranges::find(folder.files(), *path, &library::LoraPlace::path);
  return place == folder.files().end() ? nullptr : facts(*place);
}

void LoraShelf::edit(const LoraFacts& lora, const Edit& edit) {
  RequestJson user = read_sidecar(lora.place.path);
  if (edit.note) user["notes"] = *edit.note;
  if (edit.type) user["type"] = *edit.type;
  if (edit.rating) user["rating"] = *edit.rating;
  if (edit.activation_text) user["activation text"] = *edit.activation_text;
  if (edit.negative_text) user["negative text"] = *edit.negative_text;
  if (edit.preferred_weight) user["preferred weight"] = *edit.preferred_weight;
  write_file(sidecar(lora.place.path), user.dump(4, ' ', false, RequestJson::error_handler_t::replace));
  const std::lock_guard lock(mutex_);
  known_.erase(lora.place.path);
}

}  // namespace lowrank::server
