// The loss of the pictures that are held out: on the same noise at the same timesteps each time, without dropout,
// shuffling or mirroring, and as plain mean squared error, so that the figures of a run, and of runs that differ in how
// they learn, can be compared.
#pragma once

#include <cstdint>
#include <map>

#include "pipeline/resident/checkpoint_loader.h"
#include "request/training/lora_options.h"
#include "training/data/caption_encoder.h"
#include "training/data/dataset.h"
#include "training/data/latent_cache.h"
#include "training/lora/lora_metadata.h"
#include "training/objective/lora_loss.h"

namespace lowrank::training {

// kohya's: of 0 … 999.
inline constexpr std::int64_t kValidationTimesteps[] = {200, 400, 600, 800};

class Validation {
 public:
  // Everything must outlive this object. `latents`: of held_out.
  Validation(const pipeline::LoadedModel& model, const Dataset& held_out, const LatentCache& latents,
             CaptionEncoder& captions, const request::LoraTrainOptions& options, const LoraPlan& plan);

  // Whether it is measured after `done` steps, 0 … plan.steps; always after the last.
  bool is_due(std::int64_t done) const;
  // The mean over pictures and timesteps of the mean squared error of the prediction.
  double loss(const NoiseSchedule& noise);
  // The losses that were measured, by finished steps.
  const std::map<std::int64_t, double>& losses() const { return losses_; }
  void note(std::int64_t done, double loss) { losses_[done] = loss; }

 private:
  const pipeline::LoadedModel& model_;
  const Dataset& held_out_;
  const LatentCache& latents_;
  CaptionEncoder& captions_;
  const request::ValidationOptions& options_;
  const LoraPlan& plan_;
  std::uint64_t seed_;
  std::map<std::int64_t, double> losses_;
};

// What SDXL is told of a picture, behind the pooled text [width]; undefined for other families.
at::Tensor told_vector(const pipeline::LoadedModel& model, const Example& example, bool is_mirrored);

}  // namespace lowrank::training
