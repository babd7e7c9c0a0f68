// What a user should know of the models of a request before their picture disappoints.
#pragma once

#include <string>
#include <vector>

#include "pipeline/generate/pass.h"
#include "request/generation_request.h"

namespace lowrank::pipeline {

// One sentence each, with the remedy, added to `warnings`: a VAE that reads another family's latents (formats/vae_family.h), and
// a refiner that is to draw from noise alone.
void warn_of_models(const PassModels& models, const request::GenerationRequest& request,
                    std::vector<std::string>& warnings);

}  // namespace lowrank::pipeline
