// From a GenerationRequest to pictures. The session knows no folders and no index; names are turned into paths by the
// functions that it is given. One thread at a time.
#pragma once

#include <cstdint>
#include <functional>
#include <stop_token>
#include <string>

#include "base/available_memory.h"
#include "pipeline/pictures/upscalers.h"
#include "pipeline/resident/packed_cache.h"
#include "pipeline/resident/residents.h"
#include "pipeline/resident/resources.h"
#include "pipeline/resident/tiny_autoencoders.h"
#include "pipeline/result.h"
#include "prompt/limits.h"
#include "prompt/tokens/tokenizer.h"
#include "request/generation_request.h"

namespace lowrank::pipeline {

struct SessionOptions {
  int threads = 0;      // 0: all cores. Applies to the whole process, as libtorch's setting does
  std::string version;  // for the metadata: "LowRank 0.2.0"
  PackedCacheOptions packed_cache = {};
  bool int8 = false;  // U-Nets are held in 8 bits
  prompt::PromptLimits prompt_limits = {};
  // Bytes that may still be taken. Where a step needs more, its batch goes through the U-Net in parts.
  std::function<std::int64_t()> available_memory = [] { return lowrank::available_memory(); };
};

class Session {
 public:
  Session(Resources resources, SessionOptions options);
  Session(const Session&) = delete;
  Session& operator=(const Session&) = delete;

  // Makes the request's pictures. Throws Error: kBadInput, kNotFound, kUnsupported for what the request asks,
  // kCancelled within a step of a stop. The session stays usable after any error.
  GenerationResult generate(const request::GenerationRequest& request, const Listener& listener = {},
                            std::stop_token stop = {});

  // Loads what the request names, unless it is resident. generate() does it by itself.
  LoadedModel& use_model(const request::GenerationRequest& request);

  Residents& residents() { return residents_; }
  Upscalers& upscalers() { return upscalers_; }
  const prompt::PromptLimits& prompt_limits() const { return options_.prompt_limits; }
  const Resources& resources() const { return resources_; }
  const SessionOptions& options() const { return options_; }

 private:
  Resources resources_;
  SessionOptions options_;
  Residents residents_;
  Upscalers upscalers_;
  TinyAutoencoders tiny_;
  prompt::Tokenizer tokenizer_;
};

}  // namespace lowrank::pipeline
