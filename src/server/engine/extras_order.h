// A1111's "extras": finished pictures are made larger.
#pragma once

#include <string>
#include <vector>

#include "image/picture.h"
#include "pipeline/extras_request.h"
#include "pipeline/upscalers.h"
#include "server/engine/generation_order.h"
#include "server/fields/parameter.h"

namespace lowrank::server {

struct ExtrasOrder {
  pipeline::ExtrasRequest request;
  std::vector<image::Picture> pictures;
  std::vector<std::string> infotexts;  // of each picture; they stay in the larger ones, as A1111 keeps them
  bool shows_results = true, saves_images = false;
  Json notes = Json::array();  // what was passed over
};

// `image` alone or `imageList` ([{data, name}]; the npm clients' image_list with {image, name} too).
ParameterRows extras_parameters();
ParameterRows extras_batch_parameters();

// Throws Refusal 422 naming the field.
ExtrasOrder read_extras(const RequestJson& body, const OptionStore& options,
                        const std::vector<std::string>& upscalers, const GenerationLimits& limits);

// One picture of the order. Source: A1111's scripts/postprocessing_upscale.py.
image::Picture run_extras(const ExtrasOrder& order, const image::Picture& picture,
                          pipeline::Upscalers& upscalers, const std::stop_token& stop);

}  // namespace lowrank::server
