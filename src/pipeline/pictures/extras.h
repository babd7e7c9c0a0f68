// A1111's "extras": finished pictures made larger, by one upscaler or two mixed.
#pragma once

#include <optional>
#include <stop_token>
#include <string>

#include "image/picture.h"
#include "pipeline/pictures/upscalers.h"
#include "request/extras_request.h"

namespace lowrank::pipeline {

struct ExtrasResult {
  image::Picture picture;
  std::string info;  // "Postprocess upscale by: 2, Postprocess upscaler: Lanczos"; "" when nothing was done
};

// By how much one upscaler of the request enlarges this picture.
double extras_scale(const request::ExtrasRequest& request, const image::Picture& picture);

// A picture's settings stay with it; what was done since is added.
std::string extras_metadata(const std::optional<std::string>& parameters, const std::string& info);

// Without an upscaler ("None") the picture stays as it is. By a factor, sides become multiples of 8; to a
// size, the picture covers it, and `upscaling_crop` cuts off the rest. Source: A1111's
// postprocessing_upscale. Throws what Upscalers throws, and Error(kBadInput) for a result over 16,384 pixels
// a side.
ExtrasResult run_extras(const request::ExtrasRequest& request, const image::Picture& picture,
                        Upscalers& upscalers, const std::stop_token& stop);

}  // namespace lowrank::pipeline
