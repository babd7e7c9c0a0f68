// The tiny autoencoders of the data folder (formats/tiny_autoencoder.h), loaded when a preview or a request wants them. Those last
// used stay in memory, 5 MB each.
#pragma once

#include <filesystem>
#include <functional>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "base/file_identity.h"
#include "formats/tiny_autoencoder.h"
#include "model/tiny_autoencoder.h"
#include "pipeline/resident/checkpoint_loader.h"
#include "request/generation_request.h"

namespace lowrank::pipeline {

class TinyAutoencoders {
 public:
  // Asked for the files again at each use, since they come and go; may be empty.
  explicit TinyAutoencoders(std::function<std::vector<std::filesystem::path>()> files)
      : files_(std::move(files)) {}

  // Of the latents of `model`; nullptr: there is no file of its family. Throws Error where there is one that cannot be used.
  std::shared_ptr<model::TinyDecoder> find_decoder(const LoadedModel& model);

  // What decodes and encodes for `model` from now on, as `request` (of check_vae_methods()) wants it: the VAE, or a tiny one.
  // Throws Error(kNotFound) naming the missing file, kUnsupported for a model with latents of its own, and as above.
  void choose(LoadedModel& model, const request::GenerationRequest& request);

  // Whether this is said for the first time.
  bool is_news(const std::string& sentence) { return told_.insert(sentence).second; }

 private:
  template <class Half>
  struct Loaded {
    std::filesystem::path path;
    FileIdentity identity;
    std::shared_ptr<Half> model;
  };
  template <class Half>
  std::shared_ptr<Half> load(const LoadedModel& model, formats::TinyHalf which,
                             std::vector<Loaded<Half>>& loaded);
  template <class Half>
  std::shared_ptr<Half> require(const LoadedModel& model, formats::TinyHalf which,
                                std::vector<Loaded<Half>>& loaded);

  std::function<std::vector<std::filesystem::path>()> files_;
  std::vector<Loaded<model::TinyDecoder>> decoders_;
  std::vector<Loaded<model::TinyEncoder>> encoders_;
  std::set<std::string> told_;
};

// Throws Error(kBadInput) where a request's vae_decoder or vae_encoder is neither Full nor TAESD, without regard to case.
void check_vae_methods(const request::GenerationRequest& request);

// The same names as A1111 writes them.
void name_vae_methods(request::GenerationRequest& request);

// Whether pictures become latents on the way: init pictures, those between the passes of hires fix, and what an inpainting
// checkpoint sees.
bool encodes_pictures(const request::GenerationRequest& request, const LoadedModel& model);

}  // namespace lowrank::pipeline
