// The walks through the noise levels that a request asks for: one, or with hires fix two.
#pragma once

#include <optional>
#include <string>

#include "pipeline/generate/sampling_plan.h"
#include "pipeline/resident/residents.h"
#include "pipeline/resident/tiny_autoencoders.h"
#include "request/generation_request.h"

namespace lowrank::pipeline {

struct Pass {
  int number = 0;  // from 0
  ResidentModel* model = nullptr;
  ResidentModel* refiner = nullptr;  // takes over part-way; null: nobody does
  SamplingPlan plan = {};
  std::string prompt = {}, negative_prompt = {};
  // Of the pass before this one, whose prompt editing goes on here; nullopt: this is the first.
  std::optional<int> calls_before = {};
  double merged_tokens = 0;  // token merging's share
};

struct PassModels {
  ResidentModel* first = nullptr;
  ResidentModel* second = nullptr;  // null: no hires fix
  ResidentModel* first_refiner = nullptr;
  ResidentModel* second_refiner = nullptr;
};

// Loads what the request names, unless it is resident; all others go. Throws Error(kUnsupported) for models that cannot
// work on one picture.
PassModels bring_models(Residents& residents, TinyAutoencoders& tiny,
                        const request::GenerationRequest& request);

struct PassPlans {
  Pass first;
  std::optional<Pass> second;
};

// `request` is complete. Throws Error(kBadInput, kNotFound) for names that stand for nothing.
PassPlans plan_passes(const request::GenerationRequest& request, const PassModels& models);

}  // namespace lowrank::pipeline
