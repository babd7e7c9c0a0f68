// Trains a text encoder and a U-Net from scratch on cached latents and captions: the base model of the starter set.
// Both keep an exponential moving average of their weights, which is what is saved and used.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <filesystem>

#include "model/diffusion_model.h"
#include "model/text_encoder.h"
#include "request/training/base_options.h"
#include "training/run/run_control.h"
#include "training/run/run_training.h"

namespace lowrank::training {

using request::BaseTrainOptions;

// What is learned: one row per picture.
struct CaptionedLatents {
  at::Tensor latents;    // float32 [N, 4, h, w], scaled as SD 1's
  at::Tensor mirrored;   // the same pictures mirrored, or undefined
  at::Tensor ids;        // int64 [N, 77], with start, end and padding
  at::Tensor empty_ids;  // int64 [77], the empty caption
};

// Both models must be widened. On return they hold the averaged weights. State is kept in `state_path`: an interrupted
// run goes on there exactly. Throws Error(kCancelled) after saving when stopped.
RunResult train_base(model::TextEncoder& text, model::DiffusionModel& unet, const CaptionedLatents& data,
                     const BaseTrainOptions& options, const std::filesystem::path& state_path,
                     const RunControl& control);

}  // namespace lowrank::training
