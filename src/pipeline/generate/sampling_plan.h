// The sampler's side of a request: which sampler and schedule its words mean, and the numbers they run with.
#pragma once

#include "pipeline/resident/checkpoint_loader.h"
#include "request/generation_request.h"
#include "sampling/run.h"

namespace lowrank::pipeline {

struct SamplingPlan {
  const sampling::SamplerRow* sampler = nullptr;
  const sampling::ScheduleRow* schedule = nullptr;  // as asked: may be Automatic
  sampling::RngKind rng = sampling::RngKind::kGpu;
  sampling::SampleRequest sample;  // guidance is left to the prompts, but for scale and skipping
};

// `prediction` and `details` are the checkpoint's; the request may have another type, which then brings its own. Throws
// Error(kBadInput) naming the choices for an unknown sampler, schedule, RNG source, noise schedule or prediction type.
SamplingPlan plan_sampling(const request::GenerationRequest& request, formats::PredictionType prediction,
                           const formats::PredictionDetails& details = {});

// What the metadata calls the schedule: the one really used where Automatic stands for a named one.
std::string_view schedule_label(const SamplingPlan& plan);

}  // namespace lowrank::pipeline
