// A request for pictures in A1111's JSON, understood: the pipeline's request, and what concerns only the
// answer.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "request/generation_request.h"
#include "server/catalog/library_service.h"
#include "server/catalog/model_catalog.h"
#include "server/json.h"
#include "server/options/option_store.h"
#include "server/requests/generation_limits.h"
#include "server/requests/series_scripts.h"

namespace lowrank::server {

enum class GenerationKind { kText, kImage };  // txt2img, img2img

struct GenerationTask {
  GenerationKind kind = GenerationKind::kText;
  Json parameters;  // A1111's echo: every field with its value
  Json options;     // with the request's overrides
  Json overrides = Json::object();
  request::GenerationRequest request;
  std::optional<ScriptRun> script;    // then its series is made, each with the pictures of `request`
  std::vector<std::string> warnings;  // what was passed over, one sentence each
  bool compares = false;              // a plot, whose LoRAs must be there
  bool keeps_overrides = false;       // override_settings_restore_afterwards: false

  bool flag(const char* parameter) const { return parameters.at(parameter).get<bool>(); }
};

// Throws Refusal naming what is wrong: 422 for fields, scripts and checkpoints, 400 for samplers, 404 for a
// missing init image. Nothing is changed.
GenerationTask read_generation(GenerationKind kind, const RequestJson& body, const OptionStore& options,
                               ModelCatalog& catalog, const GenerationLimits& limits,
                               const UseLocalNames& use_local_names);

}  // namespace lowrank::server
