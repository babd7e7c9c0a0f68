// The pictures of a training set as latents, encoded once: the mean of the VAE's posterior times the model's
// latent scale. (kohya draws one sample of the posterior when it caches; the mean makes training repeatable.)
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <filesystem>
#include <functional>
#include <optional>
#include <stop_token>
#include <vector>

#include "model/vae.h"
#include "training/data/dataset.h"

namespace lowrank::training {

struct LatentOptions {
  double latent_scale = 1;
  bool mirrored = false;  // also of each picture mirrored left to right
  // A safetensors file that keeps the latents from one run to the next. It is used only when it was made from
  // the same pictures (bytes and places) by the same VAE, and is whole.
  std::optional<std::filesystem::path> file = {};
};

class LatentCache {
 public:
  // `progress` is told how many pictures are done. Throws Error naming a picture that cannot be decoded, and
  // Error(kCancelled) when stopped.
  LatentCache(const model::Vae& vae, const Dataset& dataset, const LatentOptions& options,
              const std::function<void(std::int64_t done, std::int64_t total)>& progress,
              const std::stop_token& stop);

  // Latents of one picture, float32 [4, h, w]; `mirrored` only when the options asked for it.
  const at::Tensor& plain(std::size_t example) const { return plain_[example]; }
  const at::Tensor& mirrored(std::size_t example) const { return mirrored_[example]; }

 private:
  bool load(const Dataset& dataset, const LatentOptions& options, const std::string& origin);
  void save(const LatentOptions& options, const std::string& origin) const;
  std::vector<at::Tensor> plain_, mirrored_;
};

}  // namespace lowrank::training
