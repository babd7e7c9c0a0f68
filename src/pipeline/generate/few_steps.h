// Models for few steps (formats/few_steps.h) among what a request draws with: whether its settings fit them.
#pragma once

#include <string>
#include <vector>

#include "pipeline/resident/resident_model.h"
#include "request/generation_request.h"

namespace lowrank::pipeline {

// Of the prompt's LoRAs, else of the checkpoint, the first that is made for few steps: says in one sentence which settings fit
// it when those of the complete request do not, and with request.auto_few_steps takes them instead. A LoRA that cannot be
// opened is left to the one who makes it act.
void fit_few_steps(request::GenerationRequest& request, ResidentModel& model,
                   std::vector<std::string>& warnings);

}  // namespace lowrank::pipeline
