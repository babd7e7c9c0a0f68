// A request for pictures in A1111's JSON, understood: the pipeline's request, and what concerns only the
// answer.
#pragma once

#include <string>
#include <vector>

#include "pipeline/request.h"
#include "server/catalog/catalog.h"
#include "server/json.h"
#include "server/options/option_store.h"

namespace lowrank::server {

// What one request may ask of the machine.
struct GenerationLimits {
  int max_steps = 1000;
  int max_pictures = 256;                           // n_iter · batch_size
  std::int64_t max_pixels = 2048 * 2048;            // of one picture, hires fix included
  std::int64_t max_batch_pixels = 4 * 2048 * 2048;  // of the pictures that are made together
};

enum class GenerationKind { kText, kImage };  // txt2img, img2img

struct GenerationOrder {
  GenerationKind kind = GenerationKind::kText;
  Json parameters;  // A1111's echo: every field with its value
  Json options;     // with the request's overrides
  Json overrides = Json::object();
  pipeline::GenerationRequest request;
  std::vector<std::string> warnings;  // what was passed over, one sentence each
  bool keeps_overrides = false;       // override_settings_restore_afterwards: false

  bool flag(const char* parameter) const { return parameters.at(parameter).get<bool>(); }
};

// Throws Refusal 422 naming the fields that ask for more than `limits` allow.
void check_limits(const pipeline::GenerationRequest& request, const GenerationLimits& limits);

// Throws Refusal naming what is wrong: 422 for fields, scripts and checkpoints, 400 for samplers, 404 for a
// missing init image. Nothing is changed.
GenerationOrder read_generation(GenerationKind kind, const RequestJson& body, const OptionStore& options,
                                Catalog& catalog, const GenerationLimits& limits);

}  // namespace lowrank::server
