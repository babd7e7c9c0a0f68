// What a user decides about training a model from scratch. base_table.h names, explains and bounds it; what it does not
// name is settled here.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>

namespace lowrank::request {

struct VaeTrainOptions {
  std::int64_t steps = 4500, warmup = 100, batch = 8;
  std::int64_t crop = 64;  // side of the random crops, a multiple of 8; smaller pictures are used whole
  std::int64_t full_size_steps = 200;  // the last steps see the largest square, at a quarter of the batch
  double learning_rate = 1.5e-3, kl_weight = 1e-6, difference_weight = 1.0;
  std::uint64_t seed = 1;
  bool mixed_precision = true;  // products in bfloat16
};

struct BaseTrainOptions {
  std::int64_t steps = 10000, warmup = 300, batch = 16;
  double learning_rate = 7e-4, weight_decay = 0.01, gradient_clip = 1.0;
  double ema = 0.999;               // of the weights; grows from 0 over the first steps
  double empty_caption_rate = 0.1;  // for classifier-free guidance (Ho & Salimans 2022, arXiv:2207.12598)
  double min_snr = 1, max_snr = 5;  // see truncated_snr_weight
  // Noise added to whole channels (Guttenberg 2023, "Diffusion with offset noise"). On latents as small as 16×16 the
  // noisiest step still shows a picture's mean colour; without this the model reads it there, not in the caption.
  double noise_offset = 0.35;
  std::uint64_t seed = 1;
  bool mixed_precision = true;
};

struct BaseTraining {
  std::filesystem::path pictures;  // PNG, JPEG or WebP files of one size, each with a .txt caption beside it
  std::filesystem::path
      vae_pictures;            // for the autoencoder, no captions needed; empty: the same as `pictures`
  std::filesystem::path work;  // states and caches are kept here
  std::filesystem::path
      start;  // a checkpoint to train further: its autoencoder is kept, the rest learns on; empty: from scratch
  std::filesystem::path out;      // the checkpoint, float16
  std::string shape = "starter";  // model::model_spec
  int threads = 0;                // 0: all cores
  VaeTrainOptions vae;
  BaseTrainOptions base;
};

}  // namespace lowrank::request
