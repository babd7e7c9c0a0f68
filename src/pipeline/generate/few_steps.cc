#include "pipeline/generate/few_steps.h"

#include <fmt/format.h>

#include <cmath>
#include <optional>

#include "base/error.h"
#include "formats/few_steps.h"
#include "pipeline/generate/sampling_plan.h"
#include "prompt/grammar/extra_networks.h"

namespace lowrank::pipeline {
namespace {

struct Found {
  std::string what;  // "the LoRA 'x'"
  formats::FewStepModel model;
};

std::optional<Found> few_step_lora(const std::string& prompt, ResidentModel& model) {
  for (const prompt::LoraTag& tag : prompt::parse_extra_networks(prompt).loras) {
    if (tag.unet <= 0) continue;
    try {
      const auto lora = model.loras.look(tag.name, model.loaded);
      const formats::LoraFile& file = lora.adapter->file();
      const std::string name = file.path.stem().string();
      if (const auto found = formats::few_step_model({.kind = formats::FewStepFile::kLora,
                                                      .name = name,
                                                      .metadata = &file.file->metadata(),
                                                      .auto_v3 = lora.hash}))
        return Found{fmt::format("the LoRA '{}'", tag.name), *found};
    } catch (const Error&) {
      continue;  // said when it is to act
    }
  }
  return std::nullopt;
}

std::optional<Found> few_step_checkpoint(const LoadedModel& model) {
  const std::string name = model.name();
  const auto found = formats::few_step_model({.kind = formats::FewStepFile::kCheckpoint,
                                              .name = name,
                                              .metadata = &model.metadata,
                                              .has_guidance_input = model.has_guidance_input});
  if (!found) return std::nullopt;
  return Found{fmt::format("the checkpoint {}", name), *found};
}

formats::FewStepSettings settings_of(const request::GenerationRequest& request, const SamplingPlan& plan) {
  std::string_view schedule = schedule_label(plan);
  // What nobody chose, for a sampler without a schedule of its own.
  if (plan.schedule->make == nullptr && plan.sampler->schedule.empty() && !plan.sampler->is_timestep)
    schedule = sampling::find_schedule("uniform")->label;
  return {.steps = request.steps,
          .cfg = request.cfg_scale.value,
          .sampler = plan.sampler->label,
          .schedule = schedule};
}

// As a person would write it: 1, not 1.0.
request::Decimal decimal(double value) {
  request::Decimal number(value);
  number.is_integer = value == std::floor(value);
  return number;
}

// Only what does not fit changes.
void take(request::GenerationRequest& request, const formats::FewStepAdvice& advice,
          const formats::FewStepSettings& now) {
  const formats::FewStepMisfits misfits = formats::misfits_of(advice, now);
  if (misfits.steps) request.steps = advice.steps;
  if (misfits.cfg) request.cfg_scale = decimal(advice.cfg);
  if (misfits.sampler) request.sampler = advice.samplers[0];
  if (misfits.sampler || misfits.schedule) {
    // A name such as "DPM++ 2M Karras" brings its schedule.
    if (!misfits.sampler) request.sampler = now.sampler;
    request.scheduler = advice.schedules[0].empty() ? "Automatic" : advice.schedules[0];
  }
  if (advice.eta && !request.eta && request.sampler == advice.samplers[0]) request.eta = decimal(*advice.eta);
}

}  // namespace

void fit_few_steps(request::GenerationRequest& request, ResidentModel& model,
                   std::vector<std::string>& warnings) {
  std::optional<Found> found;
  if (!request.disable_extra_networks) found = few_step_lora(request.prompt, model);
  if (!found) found = few_step_checkpoint(model.loaded);
  if (!found) return;
  if (!found->model.caution.empty()) {
    warnings.push_back(fmt::format("{} is {}: {}.", found->what, found->model.method, found->model.caution));
    return;
  }
  const formats::FewStepAdvice& advice = found->model.advice;
  const auto settings =
      settings_of(request, plan_sampling(request, model.loaded.prediction, model.loaded.prediction_details));
  const std::string misfits = formats::misfits(advice, settings);
  if (misfits.empty()) return;
  const std::string made = fmt::format("{} is made for few steps ({}, by {})", found->what,
                                       found->model.method, found->model.known_by);
  if (!request.auto_few_steps) {
    warnings.push_back(fmt::format("{}: {} fit it, and {} may not; --auto takes what fits.", made,
                                   formats::advised(advice), misfits));
    return;
  }
  take(request, advice, settings);
  const auto taken =
      settings_of(request, plan_sampling(request, model.loaded.prediction, model.loaded.prediction_details));
  warnings.push_back(
      fmt::format("{}: --auto took {} steps, CFG scale {}, sampler {}, schedule {} instead of {}.", made,
                  taken.steps, request.cfg_scale.text(), taken.sampler, taken.schedule, misfits));
}

}  // namespace lowrank::pipeline
