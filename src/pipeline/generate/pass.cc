#include "pipeline/generate/pass.h"

#include <vector>

#include "base/error.h"
#include "pipeline/generate/complete_request.h"

namespace lowrank::pipeline {
namespace {

// Two models that take turns on one latent.
void require_like(const LoadedModel& first, const LoadedModel& other) {
  if (first.prediction == other.prediction && first.latent_scale == other.latent_scale &&
      first.network->in_channels() == other.network->in_channels() &&
      first.vae->downscale() == other.vae->downscale())
    return;
  throw Error(kUnsupported,
              "the checkpoints {} and {} cannot be combined for one picture: they differ in prediction type, "
              "latents or input channels.",
              first.name(), other.name());
}

}  // namespace

PassModels bring_models(Residents& residents, TinyAutoencoders& tiny,
                        const request::GenerationRequest& request) {
  check_vae_methods(request);
  PassModels models{.first = &residents.base(request.checkpoint, request.vae)};
  std::vector<const ResidentModel*> used = {models.first};
  if (request.enable_hr && !request.is_img2img()) {
    const bool same = request.hr_checkpoint.empty() || request.hr_checkpoint == "Use same checkpoint";
    models.second = same ? models.first : &residents.beside(request.hr_checkpoint, request.vae);
    used.push_back(models.second);
  }
  if (has_refiner(request)) {
    ResidentModel& refiner = residents.beside(request.refiner_checkpoint, request.vae);
    used.push_back(&refiner);
    const std::string& which = request.hires_refiner_pass;
    if (models.second == nullptr || which != "second pass") models.first_refiner = &refiner;
    if (models.second != nullptr && which != "first pass") models.second_refiner = &refiner;
  }
  residents.keep_only(used);
  residents.refresh_embeddings();
  for (const auto& [model, other] :
       {std::pair(models.first, models.first_refiner), std::pair(models.second, models.second_refiner),
        std::pair(models.first, models.second)})
    if (model != nullptr && other != nullptr) require_like(model->loaded, other->loaded);
  for (ResidentModel* model : {models.first, models.second, models.first_refiner, models.second_refiner})
    if (model != nullptr) tiny.choose(model->loaded, request);
  return models;
}

PassPlans plan_passes(const request::GenerationRequest& request, const PassModels& models) {
  PassPlans passes{.first = {.model = models.first,
                             .refiner = models.first_refiner,
                             .plan = plan_sampling(request, models.first->loaded.prediction,
                                                   models.first->loaded.prediction_details),
                             .prompt = request.prompt,
                             .negative_prompt = request.negative_prompt,
                             .merged_tokens = request.token_merging_ratio.value},
                   .second = {}};
  if (models.second == nullptr) return passes;
  const double merged = request.token_merging_ratio_hr.value;
  passes.second = Pass{.number = 1,
                       .model = models.second,
                       .refiner = models.second_refiner,
                       .plan = plan_sampling(second_request(request), models.second->loaded.prediction,
                                             models.second->loaded.prediction_details),
                       .prompt = request.hr_prompt,
                       .negative_prompt = request.hr_negative_prompt,
                       .calls_before = sampling::planned_calls(*passes.first.plan.sampler, request.steps),
                       .merged_tokens = merged > 0 ? merged : passes.first.merged_tokens};
  return passes;
}

}  // namespace lowrank::pipeline
