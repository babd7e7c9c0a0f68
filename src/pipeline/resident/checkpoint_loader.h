// From a checkpoint file to a model that can run: formats says which bytes are which parameter, tensor makes
// tensors of them, model builds the layers. Weights stay mapped as stored.
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "adapter/model_parts.h"
#include "formats/checkpoint/checkpoint.h"
#include "model/diffusion_model.h"
#include "model/text_encoder.h"
#include "model/tiny_autoencoder.h"
#include "model/vae.h"
#include "pipeline/resident/file_hash.h"
#include "pipeline/resident/packed_cache.h"

namespace lowrank::pipeline {

// A checkpoint ready to sample. The base weights never change; adapters live in the layers' slots.
struct LoadedModel {
  std::filesystem::path path, vae_path;                      // vae_path empty: the checkpoint's own VAE
  formats::BaseModel base_model = formats::BaseModel::kSd1;  // never kOther
  formats::PredictionType prediction = formats::PredictionType::kEpsilon;
  formats::PredictionDetails prediction_details;
  bool is_prediction_stated = false;                // as of formats::Checkpoint
  std::map<std::string, std::string> metadata;      // of the file
  std::map<std::string, std::string> vae_metadata;  // of the VAE's own file, empty without vae_path
  bool has_guidance_input = false;                  // a network distilled with guidance as an input
  double latent_scale = 1;         // decode(latent / scale): the family's, or metadata `lowrank.latent_scale`
  bool has_family_latents = true;  // false for a model with an autoencoder of its own, by its metadata
  int native_size = 0;             // pixels: the family's, or metadata `lowrank.default_size`
  std::vector<std::unique_ptr<model::TextEncoder>> text_encoders;  // as the family's row has them
  std::unique_ptr<model::DiffusionModel> network;
  std::unique_ptr<model::Vae> vae;
  // What does the VAE's work in the running request; null: the VAE itself.
  std::shared_ptr<model::TinyDecoder> tiny_decoder;
  std::shared_ptr<model::TinyEncoder> tiny_encoder;

  std::vector<std::shared_ptr<const weights::TensorFile>> files, vae_files;
  std::vector<std::pair<std::filesystem::path, FileIdentity>>
      configs;  // of a folder, see formats::Checkpoint
  weights::HashMemo hashes;
  std::unique_ptr<FileHash> hash, vae_hash;  // of the checkpoint's file; of the VAE's, null without vae_path
  // What the components' products need, where it lies in a file of the cache.
  std::map<formats::Component, KeptWeights> kept;

  const formats::FamilyRow& family() const { return *formats::family(base_model); }
  // What adapters change: the text encoders and the network.
  adapter::ModelParts adaptable() const;
  // Those and the VAE.
  std::vector<adapter::ModelPart> parts() const;
  // The most that CLIP skip may be: 1 where it has no meaning.
  int most_clip_skip() const;

  // An inpainting checkpoint: its network has 9 input channels instead of 4.
  bool is_inpainting() const;
  // Convolutions wrap around the picture's edges from now on, or no longer.
  void set_tiling(bool is_on);
  std::string name() const { return path.stem().string(); }
  // Whether the files of the checkpoint, and those of its VAE, are still those that were loaded.
  bool is_current() const;
  bool is_vae_current() const;
  // Throws Error(kConflict) when somebody wrote to one of them while it was in use: what was made with it is worthless.
  void require_unchanged() const;
  // The weights as stored stay mapped, but leave this process's memory until they are read again (release_pages).
  void release_mapped_weights() const;
  // Before prepare(): the network's products take its weights in 8 bits, with a scale for every 32 of them.
  void hold_network_in_int8();
  // Derives what products on the CPU need, or finds it in the cache; without a cache the network's only, the others
  // derive theirs when they are used. What was read of the mapped weights is released on the way, so that no more than
  // 128 MB of a model lie in memory twice.
  void prepare(PackedCache& cache);
  void prepare_vae(PackedCache& cache);  // after load_vae
  // Before `next` runs: what was derived for other components leaves this process's memory, and so do mapped weights
  // and freed memory. A network that lies in no cache stays, since deriving it again takes seconds; so do what LoRAs made
  // of its weights, unless memory is scarce.
  enum class Stage { kText, kNetwork, kVae };
  void make_room_for(Stage next) const;
  // Of all weights as they are held, mapped ones included.
  std::uint64_t parameter_bytes() const;

 private:
  void keep_vae(PackedCache& cache);
};

// Opens, checks and builds. `vae`: a stand-alone VAE instead of the checkpoint's. `hashes`: those known already. Throws Error naming the
// file; kUnsupported for models that LowRank does not run (depth, instructions).
LoadedModel load_model(const std::filesystem::path& checkpoint,
                       const std::optional<std::filesystem::path>& vae = {},
                       weights::HashMemo hashes = weights::HashMemo());

// Replaces the VAE of a resident model. nullopt: the checkpoint's own.
void load_vae(LoadedModel& model, const std::optional<std::filesystem::path>& vae);

}  // namespace lowrank::pipeline
