// A request on its way from words to pictures: what the session's parts hand to each other. Inside the
// session only.
#pragma once

#include <ATen/core/Tensor.h>

#include <chrono>
#include <optional>
#include <stop_token>
#include <string>
#include <utility>
#include <vector>

#include "pipeline/generate/sampling_plan.h"
#include "pipeline/pictures/image_latents.h"
#include "pipeline/pictures/init_pictures.h"
#include "pipeline/session.h"

namespace lowrank::pipeline {

// Adds the time from its making to its end to a number of seconds.
class Stopwatch {
 public:
  explicit Stopwatch(double& seconds) : seconds_(seconds) {}
  ~Stopwatch() { seconds_ += elapsed(); }
  Stopwatch(const Stopwatch&) = delete;
  Stopwatch& operator=(const Stopwatch&) = delete;
  double elapsed() const {
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - start_).count();
  }

 private:
  double& seconds_;
  std::chrono::steady_clock::time_point start_ = std::chrono::steady_clock::now();
};

// One walk through the noise levels.
struct Session::Pass {
  ResidentModel* model = nullptr;
  ResidentModel* refiner = nullptr;  // takes over part-way; null: nobody does
  SamplingPlan plan = {};
  std::string prompt = {}, negative_prompt = {};
  std::optional<int> calls_before =
      {};  // of the first pass, when this is the second: prompt editing goes on from there
  PromptConditioning prompts = {}, refined = {};
  bool padded = false, has_switched = false;
  bool ended_early = false;             // on request: the latest batch is what there was
  sampling::SampleResult sampled = {};  // of the latest batch
};

struct Session::Job {
  request::GenerationRequest request;  // complete: nothing is left to be chosen
  const Listener& listener;
  std::stop_token stop;
  Pass first = {};
  std::optional<Pass> second = {};  // hires fix
  EncodeSettings encode_settings = {};
  std::vector<request::PictureSeeds> seeds = {};
  InitPictures init = {};   // img2img
  ImageLatents start = {};  // likewise
  at::Tensor extra = {};    // what an inpainting checkpoint sees in the first pass
  std::vector<std::pair<std::string, std::string>> lora_hashes = {},
                                                   embedding_hashes = {};  // of all passes so far
  std::vector<std::string> lora_reports = {};
  bool is_finished = false;  // on request: no more batches
  GenerationResult result = {};

  UpscalerTiles tiles() const { return {request.esrgan_tile, request.esrgan_tile_overlap}; }
  // The model that decodes: the one that the last walk ended with.
  const LoadedModel& last_model() const {
    const Pass& pass = second && !first.ended_early ? *second : first;
    return (pass.has_switched ? pass.refiner : pass.model)->loaded;
  }
};

}  // namespace lowrank::pipeline
