// What all parts of one generation share: the complete request, who listens, when to stop.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <stop_token>
#include <vector>

#include "pipeline/pictures/upscalers.h"
#include "pipeline/resident/conditioning.h"
#include "pipeline/resident/tiny_autoencoders.h"
#include "pipeline/result.h"
#include "prompt/limits.h"
#include "prompt/tokens/tokenizer.h"
#include "request/generation_request.h"
#include "request/seeds.h"

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

struct Generation {
  request::GenerationRequest request;  // complete: nothing is left to be chosen
  std::vector<request::PictureSeeds> seeds;
  int passes = 1;
  EncodeSettings encode_settings;
  const prompt::Tokenizer& tokenizer;
  const prompt::PromptLimits& limits;
  TinyAutoencoders& tiny;
  const Listener& listener;
  std::stop_token stop;
  const std::function<std::int64_t()>& available_memory;

  UpscalerTiles tiles() const { return {request.esrgan_tile, request.esrgan_tile_overlap}; }
};

}  // namespace lowrank::pipeline
