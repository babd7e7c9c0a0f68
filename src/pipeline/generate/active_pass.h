// A pass whose LoRAs act and whose texts are encoded: ready to sample. Another pass on the same model ends it.
#pragma once

#include <ATen/core/Tensor.h>

#include <optional>

#include "pipeline/generate/generation.h"
#include "pipeline/generate/pass.h"
#include "pipeline/pictures/previewer.h"
#include "pipeline/resident/prompted_model.h"
#include "sampling/run.h"

namespace lowrank::pipeline {

// What came of one batch.
struct PassOutput {
  at::Tensor latents = {};          // [n, 4, h, w]
  const LoadedModel* by = nullptr;  // the model that sampling ended with
  std::int64_t unet_passes = 0;
  bool has_switched = false;                             // to the refiner
  bool padded = false;                                   // prompt and negative prompt were of unequal length
  bool skipped_early = false, skipped_by_sigma = false;  // the negative prompt, in some steps
  bool ended_early = false;                              // on request: the latents are what there was
  bool is_last = false;                                  // on request: no more batches
};

class ActivePass {
 public:
  // Times are added to `result`. Throws Error: what the LoRAs' files and the prompts give reason for; kCancelled.
  ActivePass(const Pass& pass, const Generation& generation, GenerationResult& result);

  // One batch, from noise or from a picture; `extra`: what an inpainting checkpoint sees beside the latent.
  PassOutput sample(int batch, std::optional<sampling::ImageStart> start, const at::Tensor& extra);

  const Pass& pass() const { return pass_; }
  const PromptConditioning& prompts() const { return prompts_; }
  ActiveLoras& loras() const { return pass_.model->loras; }

 private:
  void prepare(ResidentModel& model, PromptConditioning& prompts, OnMissing on_missing);
  prompt::ParsedPrompt parse(const ResidentModel& model) const;
  void warn(std::string warning);  // once
  void warn_of_prediction(formats::PredictionType likelier);
  // Of a step's batch, each row with `cells` places: as many as memory allows, and a warning where these are not all.
  std::int64_t rows_at_once(std::int64_t cells);
  StepEvent event(const sampling::StepReport& report, int batch, double seconds);

  const Pass& pass_;
  const Generation& generation_;
  GenerationResult& result_;
  PromptConditioning prompts_, refined_;
  std::optional<Previewer> previewer_;  // from the first preview on
};

}  // namespace lowrank::pipeline
