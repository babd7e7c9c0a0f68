#pragma once

#include <cstdint>

#include "prompt/limits.h"
#include "request/generation_request.h"
#include "request/series/series.h"
#include "request/serve_options.h"

namespace lowrank::server {

// What one request may ask of the machine.
struct GenerationLimits {
  int max_steps = request::ServeOptions().max_steps;
  int max_pictures = 256;                                        // n_iter · batch_size
  std::int64_t max_pixels = request::ServeOptions().max_pixels;  // of one picture, hires fix included
  std::int64_t max_batch_pixels = 4 * max_pixels;                // of the pictures that are made together
  std::int64_t max_grid_pixels = 200'000'000;                    // of an X/Y/Z plot; A1111's img_max_size_mp
  prompt::PromptLimits prompt = {};
};

// Both throw Refusal 422 naming the field.
void check_limits(const request::GenerationRequest& request, const GenerationLimits& limits);
void check_limits(const request::Series& series, const GenerationLimits& limits);

}  // namespace lowrank::server
