// Trains a text encoder and a U-Net from scratch on cached latents and captions: the base model of the starter set.
// Both keep an exponential moving average of their weights, which is what is saved and used.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <filesystem>

#include "model/text_encoder.h"
#include "model/unet.h"
#include "training/run/run_control.h"
#include "training/run/run_training.h"

namespace lowrank::training {

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

// What is learned: one row per picture.
struct CaptionedLatents {
  at::Tensor latents;    // float32 [N, 4, h, w], scaled by 0.18215
  at::Tensor mirrored;   // the same pictures mirrored, or undefined
  at::Tensor ids;        // int64 [N, 77], with start, end and padding
  at::Tensor empty_ids;  // int64 [77], the empty caption
};

// Both models must be widened. On return they hold the averaged weights. State is kept in `state_path`: an interrupted
// run goes on there exactly. Throws Error(kCancelled) after saving when stopped.
RunResult train_base(model::TextEncoder& text, model::UNet& unet, const CaptionedLatents& data,
                     const BaseTrainOptions& options, const std::filesystem::path& state_path,
                     const RunControl& control);

}  // namespace lowrank::training
