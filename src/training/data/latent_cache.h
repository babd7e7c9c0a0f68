// The pictures of a training set as latents, encoded once: the mean of the VAE's posterior times the model's
// latent scale. (kohya draws one sample of the posterior when it caches; the mean makes training repeatable.) Pictures
// that look different each time they are shown are encoded each time.
#pragma once

#include <ATen/core/Generator.h>
#include <ATen/core/Tensor.h>

#include <cstdint>
#include <filesystem>
#include <functional>
#include <optional>
#include <stop_token>
#include <vector>

#include "model/vae.h"
#include "tensor/state_dict.h"
#include "training/data/dataset.h"
#include "training/data/picture_file.h"

namespace lowrank::training {

struct LatentOptions {
  double latent_scale = 1;
  // A safetensors file that keeps the latents from one run to the next. Each is known by its picture's bytes and place, so
  // that only new pictures are encoded; none is used that another VAE made, or when the file is not whole. What this
  // training set has no use for is dropped from it.
  std::optional<std::filesystem::path> file = {};
};

// A picture as one step sees it.
struct ShownPicture {
  at::Tensor latents;  // float32 [4, h, w]
  at::Tensor weight;   // of the loss at each place, float32 [h, w] in 0…1; undefined: 1 everywhere
  bool is_mirrored = false;
};

class LatentCache {
 public:
  // `vae` and `dataset` must outlive this object. `progress` is told how many pictures are done. Throws Error naming a
  // picture that cannot be decoded, and Error(kCancelled) when stopped.
  LatentCache(const model::Vae& vae, const Dataset& dataset, const LatentOptions& options,
              const std::function<void(std::int64_t done, std::int64_t total)>& progress,
              const std::stop_token& stop);

  // Latents of one picture, float32 [4, h, w], cut from its middle; `mirrored` only where its subset flips pictures.
  const at::Tensor& plain(std::size_t example) const { return plain_[example]; }
  const at::Tensor& mirrored(std::size_t example) const { return mirrored_[example]; }
  const at::Tensor& weight(std::size_t example) const { return weights_[example]; }  // not mirrored

  // With the flips, cuts and colours that the generator's next numbers say.
  ShownPicture draw(std::size_t example, const at::Generator& generator) const;

 private:
  at::Tensor encode(const at::Tensor& picture) const;
  at::Tensor load_weight(const Example& example, const Cut& cut) const;
  tensor::StateDict kept(const std::string& origin) const;
  void save(const std::string& origin, const tensor::StateDict& before) const;

  const model::Vae& vae_;
  const Dataset& dataset_;
  LatentOptions options_;
  std::vector<at::Tensor> plain_, mirrored_, weights_;
};

// The weights of a batch, float32 [B, 1, h, w]: 1 for pictures that have none; undefined when none has. `latents`: theirs,
// [B, 4, h, w].
at::Tensor stacked_weights(const std::vector<at::Tensor>& weights, const at::Tensor& latents);

}  // namespace lowrank::training
