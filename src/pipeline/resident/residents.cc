#include "pipeline/resident/residents.h"

#include <algorithm>
#include <utility>

#include "pipeline/resident/trial_run.h"

namespace lowrank::pipeline {

Residents::Residents(const Resources& resources, PackedCacheOptions packed_cache, bool int8)
    : resources_(resources), packed_(std::move(packed_cache)), int8_(int8) {}

Residents::Place Residents::locate(const std::string& checkpoint, const std::string& vae) const {
  std::error_code gone;
  const bool keep = checkpoint.empty() && !base_path_.empty() && std::filesystem::exists(base_path_, gone);
  Place place{.checkpoint = keep ? base_path_ : resources_.checkpoint(checkpoint), .vae = {}};
  place.vae = resources_.vae(vae, place.checkpoint);
  return place;
}

ResidentModel& Residents::bring(const Place& place) {
  for (const auto& resident : models_) {
    LoadedModel& model = resident->loaded;
    if (model.path != place.checkpoint) continue;
    if (model.vae_path != place.vae.value_or(std::filesystem::path()) ||
        (&model != held_ && !model.is_vae_current())) {
      load_vae(model, place.vae);
      model.prepare_vae(packed_);
    }
    return *resident;
  }
  auto made = std::make_unique<ResidentModel>(load_model(place.checkpoint, place.vae, packed_.hash_memo()),
                                              resources_);
  if (int8_) made->loaded.hold_network_in_int8();
  made->loaded.prepare(packed_);
  judge_prediction(made->loaded);
  made->loaded.require_unchanged();
  return *models_.emplace_back(std::move(made));
}

// A checkpoint that was written to or exchanged since it was loaded is loaded anew.
void Residents::drop_stale() {
  std::erase_if(models_, [&](const auto& resident) {
    return &resident->loaded != held_ && !resident->loaded.is_current();
  });
}

ResidentModel& Residents::base(const std::string& checkpoint, const std::string& vae) {
  const Place place = locate(checkpoint, vae);
  drop_stale();
  ResidentModel& model = bring(place);
  base_path_ = place.checkpoint;
  return model;
}

ResidentModel& Residents::beside(const std::string& checkpoint, const std::string& vae) {
  return bring(locate(checkpoint, vae));
}

void Residents::keep_only(std::span<const ResidentModel* const> used) {
  std::erase_if(models_,
                [&](const auto& resident) { return std::ranges::find(used, resident.get()) == used.end(); });
}

void Residents::refresh_embeddings() {
  for (const auto& resident : models_) resident->refresh_embeddings();
}

void Residents::forget_encodings() {
  for (const auto& resident : models_) resident->cache.clear();
}

std::int64_t Residents::text_encodings() const {
  std::int64_t count = 0;
  for (const auto& resident : models_) count += resident->cache.encodings();
  return count;
}

}  // namespace lowrank::pipeline
