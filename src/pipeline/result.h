// What a request comes to: pictures with their metadata, and the account of what each LoRA did.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "adapter/report.h"
#include "image/picture.h"
#include "request/preview_types.h"
#include "tensor/tensor_fwd.h"

namespace lowrank::pipeline {

struct GeneratedPicture {
  image::Picture picture;
  std::string metadata;  // A1111's parameters text
  int index = 0;         // of the request's pictures, from 0
  std::uint64_t seed = 0, subseed = 0;
};

// A finished sampling step.
struct StepEvent {
  int step = 0, steps = 0;     // of this batch, from 1; steps 0: not known beforehand (DPM adaptive)
  int pass = 0, passes = 1;    // from 0; hires fix makes two of each batch
  int batch = 0, batches = 1;  // from 0
  double seconds = 0;          // since the batch began to sample
  std::optional<image::Picture> preview;  // of the batch's first picture, where one was asked for
};

enum class Preview { kNone, kEachStep, kOnDemand };

// What someone watching wants of a running generation.
enum class StepDecision {
  kContinue,
  kSkip,    // end this batch with what is there, and go on with the next
  kFinish,  // end this batch with what is there, and make no more
};

// Who wants to hear of progress. Called on the generating thread; exceptions end the generation.
struct Listener {
  std::function<void(const StepEvent&)> on_step;
  std::function<void(const GeneratedPicture&)> on_picture;  // as soon as it is finished
  // Before the first step, where a LoRA needs decompositions of the weights that it changes: layers done and all.
  std::function<void(std::int64_t done, std::int64_t total)> on_prepare = {};
  Preview preview = Preview::kNone;
  request::PreviewType preview_type = request::PreviewType::kBest;
  std::function<bool(int step)> wants_preview = {};  // kOnDemand: asked after each step
  std::function<StepDecision()> decide = {};  // asked after each step, and after each block of later ones
  std::function<void(const at::Tensor&)> on_latents =
      {};  // of a batch, [n, 4, h, w], before they become pictures
};

struct MissingLora {
  std::string name;
  std::string reason;  // one sentence
};

struct GenerationResult {
  std::vector<GeneratedPicture> pictures;
  std::vector<adapter::ApplyReport> loras;  // one per LoRA that acts, in prompt order
  std::vector<MissingLora> missing_loras;   // only when the request allows them
  std::vector<std::string> warnings;        // one sentence each
  std::int64_t unet_passes = 0;
  // "v by the key v_pred": what the checkpoint predicts, and by which rule it is known; "" where the request says it or the
  // family alone tells.
  std::string prediction_rule;
  double seconds_load = 0, seconds_loras = 0, seconds_text = 0, seconds_encode = 0, seconds_sample = 0,
         seconds_upscale = 0, seconds_decode = 0;
};

}  // namespace lowrank::pipeline
