#include "pipeline/generate/active_pass.h"

#include <ATen/ATen.h>
#include <fmt/format.h>

#include <algorithm>
#include <functional>
#include <utility>

#include "base/progress.h"
#include "pipeline/generate/hires.h"
#include "pipeline/generate/precision.h"
#include "pipeline/generate/prompt_cost.h"
#include "pipeline/generate/refiner.h"
#include "pipeline/generate/size_vectors.h"
#include "pipeline/generate/step_memory.h"
#include "tensor/arena.h"

namespace lowrank::pipeline {
namespace {

// Thrown out of a sampler when someone wants no more of its steps: the latest denoised latent is the result.
struct EndedEarly {
  at::Tensor latent;
};

sampling::ImageNoiseOptions noise_options(const Generation& generation, const Pass& pass, int batch,
                                          std::int64_t height, std::int64_t width) {
  const request::GenerationRequest& request = generation.request;
  sampling::ImageNoiseOptions noise{.rng = pass.plan.rng,
                                    .subseed_strength = request.subseed_strength.value,
                                    .seed_resize_from_width = request.seed_resize_width,
                                    .seed_resize_from_height = request.seed_resize_height,
                                    .eta_noise_seed_delta = request.ensd,
                                    .channels = pass.model->loaded.vae->latent_channels(),
                                    .height = height,
                                    .width = width};
  const auto size = static_cast<std::size_t>(request.batch_size);
  for (std::size_t i = 0; i < size; ++i) {
    const request::PictureSeeds& seeds = generation.seeds[static_cast<std::size_t>(batch) * size + i];
    noise.seeds.push_back(seeds.seed);
    noise.subseeds.push_back(seeds.subseed);
  }
  return noise;
}

// A model with its prompts; LoRAs inside prompt editing are switched before each call.
PromptedModel prompted(ResidentModel& model, const PromptConditioning& prompts, PromptedModelOptions options,
                       const PictureSize& size) {
  options.sizes = size_vectors(model.loaded.family().size_conditioning, size);
  options.before_call = [&model](int call) { model.loras.set_call(call); };
  return PromptedModel(*model.loaded.network, prompts, std::move(options));
}

PromptMemoryRequest memory_request(const Generation& generation, const Pass& pass) {
  const request::GenerationRequest& request = generation.request;
  const std::int64_t cell = pass.model->loaded.vae->downscale();
  HiresSize size{.width = request.width, .height = request.height};
  if (pass.calls_before) size = hires_size(request, static_cast<int>(cell));
  return {.pictures = request.batch_size,
          .cells = (size.width / cell) * (size.height / cell),
          .pads = request.pad_conds};
}

}  // namespace

ActivePass::ActivePass(const Pass& pass, const Generation& generation, GenerationResult& result)
    : pass_(pass), generation_(generation), result_(result) {
  throw_if_stopped(generation.stop);
  prepare(*pass.model, prompts_,
          generation.request.allow_missing_loras ? OnMissing::kReport : OnMissing::kFail);
  if (pass.refiner == nullptr) return;
  // LoRAs are made for the base: what there is none of for the refiner ends no request.
  prepare(*pass.refiner, refined_, OnMissing::kReport);
  for (const MissingLora& missing : pass.refiner->loras.missing()) {
    if (std::ranges::find(loras().loaded(), missing.name, &ActiveLoras::Loaded::name) ==
        loras().loaded().end())
      continue;
    warn(fmt::format("<lora:{}> acts on the base alone: it does not fit the refiner {}.", missing.name,
                     pass.refiner->loaded.name()));
  }
}

prompt::ParsedPrompt ActivePass::parse(const ResidentModel& model) const {
  // Calls of the model count, so steps need no doubling for samplers of second order.
  const int calls = sampling::planned_calls(*pass_.plan.sampler, pass_.plan.sample.steps);
  prompt::Request asked{.prompt = pass_.prompt,
                        .negative_prompt = pass_.negative_prompt,
                        .steps = pass_.calls_before.value_or(calls),
                        .second_order = false,
                        .hires_steps = pass_.calls_before ? std::optional(calls) : std::nullopt,
                        .settings = {}};
  asked.settings.emphasis = generation_.encode_settings.emphasis;
  asked.settings.comma_backtrack = generation_.request.comma_backtrack;
  asked.settings.use_old_timelines = generation_.request.old_prompt_editing;
  asked.settings.embeddings = names_of(model.usable_embeddings());
  for (const auto& skipped : model.embeddings.skipped)
    if (std::ranges::find(asked.settings.embeddings, skipped.name, &prompt::EmbeddingName::name) ==
        asked.settings.embeddings.end())
      asked.settings.unusable.push_back(skipped);
  asked.settings.limits = generation_.limits;
  return prompt::parse(asked, generation_.tokenizer);
}

void ActivePass::prepare(ResidentModel& model, PromptConditioning& prompts, OnMissing on_missing) {
  const request::GenerationRequest& request = generation_.request;
  model.loaded.set_tiling(request.tiling);
  model.loaded.network->policy()->merged_tokens = pass_.merged_tokens;
  model.loaded.network->policy()->compute = compute_type(request, model.loaded.network->layers());
  auto parsed = parse(model);
  check_prompt_memory(parsed, *model.loaded.network, memory_request(generation_, pass_), generation_.limits);
  const bool had_bundled = !model.loras.embeddings().empty();
  {
    const Stopwatch watch(result_.seconds_loras);
    const auto tags = request.disable_extra_networks ? std::vector<prompt::LoraTag>() : parsed.networks.loras;
    model.loras.activate(tags, model.loaded, on_missing, generation_.listener.on_prepare, generation_.stop);
  }
  // The tags tell which LoRAs act, and these may bring embeddings, which change how the words are read.
  if (had_bundled || !model.loras.embeddings().empty()) parsed = parse(model);
  // LoRAs that switch on and off have the texts encoded once for each set of them.
  PromptMemoryRequest memory = memory_request(generation_, pass_);
  memory.chunks = model.chunks_to_encode(parsed);
  prompt::check_limit(&prompt::PromptLimits::chunks, generation_.limits, memory.chunks,
                      "with the LoRAs that switch on and off, the prompt");
  check_prompt_memory(parsed, *model.loaded.network, memory, generation_.limits);
  const Stopwatch watch(result_.seconds_text);
  prompts = model.encode(parsed, generation_.encode_settings, request.pad_conds, generation_.stop);
}

StepEvent ActivePass::event(const sampling::StepReport& report, int batch, double seconds) {
  const Listener& listener = generation_.listener;
  StepEvent event{.step = report.step,
                  .steps = report.steps,
                  .pass = pass_.number,
                  .passes = generation_.passes,
                  .batch = batch,
                  .batches = generation_.request.batch_count,
                  .seconds = seconds,
                  .preview = std::nullopt};
  if (listener.preview == Preview::kEachStep ||
      (listener.preview == Preview::kOnDemand && listener.wants_preview(report.step))) {
    if (!previewer_)
      previewer_.emplace(pass_.model->loaded, listener.preview_type, generation_.tiny, result_.warnings);
    event.preview = previewer_->picture(report.denoised.select(0, 0));
  }
  return event;
}

void ActivePass::warn(std::string warning) {
  if (std::ranges::find(result_.warnings, warning) == result_.warnings.end())
    result_.warnings.push_back(std::move(warning));
}

std::int64_t ActivePass::rows_at_once(std::int64_t cells) {
  const std::size_t prompts = prompts_.parsed.composition.size() + 1;  // and the negative one
  const StepMemory needed = step_memory(
      pass_.model->loaded, generation_.request.batch_size * static_cast<std::int64_t>(prompts), cells);
  StepPlan plan = plan_step(needed, generation_.available_memory());
  if (!plan.warning.empty()) warn(std::move(plan.warning));
  return plan.rows_at_once;
}

void ActivePass::warn_of_prediction(formats::PredictionType likelier) {
  const LoadedModel& model = pass_.model->loaded;
  const std::string& rule = model.prediction_details.rule;
  const bool is_stated = pass_.plan.sample.prediction == model.prediction && !rule.empty();
  warn(fmt::format(
      "{} was drawn as a checkpoint that predicts {}{}, but its first answer looks like {}; if the picture "
      "is noise, try "
      "--prediction {}.",
      model.name(), formats::prediction_name(pass_.plan.sample.prediction),
      is_stated ? fmt::format(" (by {})", rule) : "", formats::prediction_name(likelier),
      formats::prediction_name(likelier)));
}

PassOutput ActivePass::sample(int batch, std::optional<sampling::ImageStart> start, const at::Tensor& extra) {
  const Stopwatch watch(result_.seconds_sample);
  const request::GenerationRequest& asked = generation_.request;
  const std::int64_t cell = pass_.model->loaded.vae->downscale();
  const std::int64_t rows = start ? start->latent.size(2) : asked.height / cell,
                     columns = start ? start->latent.size(3) : asked.width / cell;
  const auto noise = noise_options(generation_, pass_, batch, rows, columns);
  sampling::SampleRequest request = pass_.plan.sample;
  request.image = std::move(start);
  std::vector<double> weights;
  for (const auto& use : prompts_.parsed.composition) weights.push_back(use.weight);
  request.guidance.weights.assign(static_cast<std::size_t>(asked.batch_size), weights);
  const int steps =
      request.image
          ? sampling::image_steps(request.steps, request.image->strength, request.image->makes_all_steps).made
          : request.steps;
  const auto set_step = [&](int step) {
    for (ResidentModel* model : {pass_.model, pass_.refiner})
      if (model != nullptr) model->loras.set_step(step, std::max(1, steps));
  };
  PassOutput output;
  at::Tensor latest;  // what the last step gave
  const auto end_if_wished = [&] {
    const StepDecision decision =
        generation_.listener.decide ? generation_.listener.decide() : StepDecision::kContinue;
    output.is_last = output.is_last || decision == StepDecision::kFinish;
    if (decision != StepDecision::kContinue) throw EndedEarly{latest};
  };
  // What LoRAs are made with read of the mapped weights would stay in memory beside the packed ones.
  const bool reads_mapped = !pass_.model->loras.loaded().empty();
  const auto between_blocks = [&] {
    throw_if_stopped(generation_.stop);
    if (reads_mapped) pass_.model->loaded.release_mapped_weights();
    if (latest.defined()) end_if_wished();
  };
  pass_.model->loaded.make_room_for(LoadedModel::Stage::kNetwork);
  const PromptedModelOptions options{.extra = extra,
                                     .rows_at_once = rows_at_once(rows * columns),
                                     .whole_every = asked.step_cache,
                                     .between_blocks = between_blocks};
  PictureSize size = own_size(rows * cell, columns * cell);
  if (pass_.calls_before) {
    // The web UI tells hires fix the size that it grows to, of which cells and the cut may leave less.
    const HiresSize grown = hires_size(asked, static_cast<int>(cell));
    size = own_size(grown.height, grown.width);
  }
  size.crop_top = asked.sdxl_crop_top;
  size.crop_left = asked.sdxl_crop_left;
  size.aesthetic_score = asked.sdxl_high_aesthetic_score.value;
  size.low_aesthetic_score = asked.sdxl_low_aesthetic_score.value;
  PromptedModel network = prompted(*pass_.model, prompts_, options, size);
  std::optional<PromptedModel> refiner;
  std::optional<RefinedModel> refined;
  const sampling::NoiseTable table = sampling::sampler_noise_table(*pass_.plan.sampler, request);
  if (pass_.refiner != nullptr) {
    refiner.emplace(prompted(*pass_.refiner, refined_, options, size));
    refined.emplace(network, *refiner,
                    RefinerRule{.switch_at = asked.refiner_switch_at.value,
                                .by_steps = asked.refiner_switch_by_steps,
                                .is_timestep_sampler = pass_.plan.sampler->is_timestep || table.is_flow(),
                                .total_calls = sampling::planned_calls(*pass_.plan.sampler, steps),
                                .table = &table},
                    [&] { pass_.model->loaded.make_room_for(LoadedModel::Stage::kVae); });
  }
  sampling::NoiseModel& model = refined ? static_cast<sampling::NoiseModel&>(*refined) : network;
  set_step(1);
  tensor::use_arena();
  const auto on_step = [&](const sampling::StepReport& report) {
    if (report.step < steps) set_step(report.step + 1);
    if (generation_.listener.on_step) generation_.listener.on_step(event(report, batch, watch.elapsed()));
    latest = report.denoised;
    end_if_wished();
  };
  try {
    auto sampled = sampling::run_sampler(*pass_.plan.sampler, request, model,
                                         *sampling::make_image_noise(noise), on_step, generation_.stop);
    output.latents = std::move(sampled.latent);
    output.skipped_early = sampled.skipped_early;
    output.skipped_by_sigma = sampled.skipped_by_sigma;
    if (sampled.likelier_prediction) warn_of_prediction(*sampled.likelier_prediction);
  } catch (EndedEarly& early) {
    output.latents = std::move(early.latent);
    output.ended_early = true;
  }
  output.unet_passes = network.passes() + (refiner ? refiner->passes() : 0);
  output.padded = network.padded();
  output.has_switched = refined && refined->has_switched();
  output.by = &(output.has_switched ? pass_.refiner : pass_.model)->loaded;
  return output;
}

}  // namespace lowrank::pipeline
