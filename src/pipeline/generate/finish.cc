#include "pipeline/generate/finish.h"

#include <fmt/format.h>

#include <array>

#include "base/progress.h"
#include "image/colour_correction.h"
#include "pipeline/pictures/latent_picture.h"
#include "pipeline/resident/tiny_autoencoders.h"
#include "request/metadata.h"

namespace lowrank::pipeline {
namespace {

std::string hash_of(const LoadedModel& model) {
  return model.hash ? model.hash->prefix(10) : "";
}

// "NAME [HASH]", as A1111 names other checkpoints in the metadata.
std::string title(const LoadedModel& model) {
  const std::string hash = hash_of(model);
  return hash.empty() ? model.name() : fmt::format("{} [{}]", model.name(), hash);
}

// Before a picture is handed out: nothing that it was made with changed meanwhile.
void require_unchanged(const PassPlans& passes) {
  for (const Pass* pass : {&passes.first, passes.second ? &*passes.second : nullptr}) {
    if (pass == nullptr) continue;
    for (const ResidentModel* used : {pass->model, pass->refiner}) {
      if (used == nullptr) continue;
      used->loaded.require_unchanged();
      used->loras.require_unchanged();
    }
  }
}

// Everything about a batch's pictures but their seeds.
request::PictureFacts facts_of(const Batch& batch, const PassPlans& passes, const Generation& generation,
                               const InitPictures& init, const LoraAccount& account,
                               const MetadataNotes& notes, const GenerationResult& result) {
  const Pass& first = passes.first;
  const LoadedModel& model = first.model->loaded;
  const sampling::SamplerRow& sampler = *first.plan.sampler;
  request::PictureFacts facts{.request = generation.request,
                              .model_hash = hash_of(model),
                              .vae_hash = model.vae_hash ? model.vae_hash->prefix(10) : "",
                              .has_vae_file = !model.vae_path.empty(),
                              .int8 = notes.int8,
                              .lora_hashes = account.lora_hashes(),
                              .embedding_hashes = account.embedding_hashes(),
                              .loras_not_found = {},
                              .lora_reports = account.short_reports(),
                              .version = notes.version};
  for (const auto& lora : result.missing_loras) facts.loras_not_found.push_back(lora.name);
  request::GenerationRequest& request = facts.request;
  request.sampler = sampler.label;
  request.scheduler = schedule_label(first.plan);
  request.rng = sampling::rng_name(first.plan.rng);
  if (passes.second) {
    const Pass& second = *passes.second;
    request.hr_checkpoint = second.model == first.model ? "" : title(second.model->loaded);
    request.hr_sampler = second.plan.sampler == first.plan.sampler ? "" : second.plan.sampler->label;
    request.hr_scheduler = schedule_label(second.plan);
    if (request.hr_scheduler == request.scheduler) request.hr_scheduler.clear();
  }
  for (const FinishedPass* each : {&batch.first, batch.second ? &*batch.second : nullptr}) {
    if (each == nullptr) continue;
    const auto& [pass, output] = *each;
    if (output.has_switched) request.refiner_checkpoint = title(pass->pass().refiner->loaded);
    facts.refined |= output.has_switched;
    facts.uses_emphasis |= pass->prompts().parsed.uses_emphasis;
    facts.padded |= output.padded;
    facts.skipped_early |= output.skipped_early;
    facts.skipped_by_sigma |= output.skipped_by_sigma;
  }
  facts.is_inpainting_model = model.is_inpainting();
  facts.encodes_pictures = encodes_pictures(request, model);
  facts.prediction_rule = result.prediction_rule;
  for (const Pass* pass : {&passes.first, passes.second ? &*passes.second : nullptr})
    for (const ResidentModel* used :
         {pass == nullptr ? nullptr : pass->model, pass == nullptr ? nullptr : pass->refiner}) {
      if (used == nullptr) continue;
      const auto kind = used->loaded.family().size_conditioning;
      facts.is_told_size |= kind != formats::SizeConditioning::kNone;
      facts.is_told_score |= kind == formats::SizeConditioning::kAesthetic;
    }
  if (request.is_img2img()) facts.init_hash = init_picture_hash(request.init_images.back());
  facts.has_mask = init.mask.has_value();
  facts.uses_eta = sampler.has_eta;
  facts.default_eta = sampler.default_eta;
  facts.uses_churn = sampler.has_churn;
  facts.uses_noise_scale = sampler.has_s_noise;
  facts.uses_ensd = sampler.uses_ensd && first.plan.sample.sampler_settings.eta != 0;
  return facts;
}

}  // namespace

void finish_batch(const Batch& batch, const PassPlans& passes, const Generation& generation,
                  const InitPictures& init, const LoraAccount& account, const MetadataNotes& notes,
                  GenerationResult& result) {
  const Stopwatch watch(result.seconds_decode);
  const FinishedPass& last = batch.second ? *batch.second : batch.first;
  const request::GenerationRequest& request = generation.request;
  if (generation.listener.on_latents) generation.listener.on_latents(last.output.latents);
  last.output.by->make_room_for(LoadedModel::Stage::kVae);
  request::PictureFacts facts = facts_of(batch, passes, generation, init, account, notes, result);
  for (int i = 0; i < request.batch_size; ++i) {
    throw_if_stopped(generation.stop);
    const int index = batch.number * request.batch_size + i;
    const request::PictureSeeds& seeds = generation.seeds[static_cast<std::size_t>(index)];
    image::Picture picture = decode_latent(*last.output.by, last.output.latents.narrow(0, i, 1));
    if (request.is_img2img() && request.color_correction) {
      const auto& all = init.pictures;
      picture = image::colour_corrected(picture, all[all.size() == 1 ? 0 : static_cast<std::size_t>(i)]);
    }
    require_unchanged(passes);
    facts.request.seed = static_cast<std::int64_t>(seeds.seed);
    facts.request.subseed = static_cast<std::int64_t>(seeds.subseed);
    result.pictures.push_back({.picture = put_back(init, static_cast<std::size_t>(i), picture),
                               .metadata = request::picture_metadata(facts),
                               .index = index,
                               .seed = seeds.seed,
                               .subseed = seeds.subseed});
    if (generation.listener.on_picture) generation.listener.on_picture(result.pictures.back());
  }
}

}  // namespace lowrank::pipeline
