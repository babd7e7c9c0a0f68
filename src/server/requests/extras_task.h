// A1111's "extras": finished pictures are made larger.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "image/picture.h"
#include "request/extras_request.h"
#include "server/fields/parameter.h"
#include "server/requests/generation_task.h"

namespace lowrank::server {

struct ExtrasTask {
  request::ExtrasRequest request;
  struct Given {
    image::Picture picture;
    std::optional<std::string> parameters;  // the settings inside its file
  };
  std::vector<Given> pictures;
  bool shows_results = true, saves_images = false;
  Json notes = Json::array();  // what was passed over
};

// `image` alone or `imageList` ([{data, name}]; the npm clients' image_list with {image, name} too).
ParameterRows extras_parameters();
ParameterRows extras_batch_parameters();

// Throws Refusal 422 naming the field.
ExtrasTask read_extras(const RequestJson& body, const OptionStore& options,
                       const std::vector<std::string>& upscalers, const GenerationLimits& limits);

}  // namespace lowrank::server
