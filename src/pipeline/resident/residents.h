// The checkpoints that stay in memory between requests, loaded when a request names them and loaded anew when their
// files change.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "pipeline/resident/packed_cache.h"
#include "pipeline/resident/resident_model.h"
#include "pipeline/resident/resources.h"

namespace lowrank::pipeline {

class Residents {
 public:
  // `resources` must outlive this object. `int8`: U-Nets are held in 8 bits.
  Residents(const Resources& resources, PackedCacheOptions packed_cache, bool int8);

  // The model that a request is made with; it becomes the one that "" means. What changed on the disk since it was
  // loaded goes first. Throws what the resources and the loader throw.
  ResidentModel& base(const std::string& checkpoint, const std::string& vae);
  // Another model of the same request.
  ResidentModel& beside(const std::string& checkpoint, const std::string& vae);
  // All others go.
  void keep_only(std::span<const ResidentModel* const> used);

  // While the answer lives, `model` stays what it is even when its files change: somebody trains on it.
  class Hold {
   public:
    Hold(Residents& residents, const LoadedModel& model) : residents_(residents) { residents.held_ = &model; }
    ~Hold() { residents_.held_ = nullptr; }
    Hold(const Hold&) = delete;
    Hold& operator=(const Hold&) = delete;

   private:
    Residents& residents_;
  };

  // What loading had to drop or could not keep since the last call, one sentence each.
  std::vector<std::string> take_notes() { return packed_.take_notes(); }

  void refresh_embeddings();
  // Texts are encoded anew.
  void forget_encodings();
  std::int64_t text_encodings() const;  // how often a text encoder had to run

 private:
  struct Place {
    std::filesystem::path checkpoint;
    std::optional<std::filesystem::path> vae;
  };
  Place locate(const std::string& checkpoint, const std::string& vae) const;
  ResidentModel& bring(const Place& place);
  void drop_stale();

  const Resources& resources_;
  PackedCache packed_;
  bool int8_;
  std::vector<std::unique_ptr<ResidentModel>> models_;
  const LoadedModel* held_ = nullptr;
  std::filesystem::path base_path_;
};

}  // namespace lowrank::pipeline
