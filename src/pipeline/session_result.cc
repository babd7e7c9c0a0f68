// What the session hands out: finished pictures, their metadata, the account of the LoRAs.
#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "base/error.h"
#include "base/progress.h"
#include "image/colour_correction.h"
#include "pipeline/generate/generation_job.h"
#include "pipeline/pictures/latent_picture.h"
#include "request/metadata.h"

namespace lowrank::pipeline {
namespace {

// One line per LoRA for the metadata: "NAME: LoRA rank 8, 264 of 264 modules".
std::string short_report(const adapter::ApplyReport& report) {
  std::string kinds;
  for (const auto& [kind, count] : report.kinds) kinds += fmt::format("{}{}", kinds.empty() ? "" : "+", kind);
  std::string text = fmt::format("{} {}", report.name, kinds);
  if (report.ranks.size() == 1) text += fmt::format(" rank {}", report.ranks.begin()->first);
  text += fmt::format(" {} of {} modules", report.unet.applied + report.text_encoder.applied,
                      report.unet.modules + report.text_encoder.modules);
  if (report.keys_skipped > 0) text += fmt::format(" {} keys skipped", report.keys_skipped);
  if (report.keys_unknown > 0) text += fmt::format(" {} keys unknown", report.keys_unknown);
  return text;
}

template <typename Item>
void add_once(std::vector<Item>& all, Item item) {
  if (std::ranges::find(all, item) == all.end()) all.push_back(std::move(item));
}

std::string hash_of(const LoadedModel& model) {
  return model.hash ? model.hash->prefix(10) : "";
}

// "NAME [HASH]", as A1111 names other checkpoints in the metadata.
std::string title(const LoadedModel& model) {
  const std::string hash = hash_of(model);
  return hash.empty() ? model.name() : fmt::format("{} [{}]", model.name(), hash);
}

}  // namespace

// Before a picture is handed out: nothing that it was made with changed meanwhile.
void Session::require_unchanged(const Job& job) const {
  for (const Pass* pass : {&job.first, job.second ? &*job.second : nullptr}) {
    if (pass == nullptr) continue;
    for (const ResidentModel* used : {pass->model, pass->refiner}) {
      if (used == nullptr) continue;
      used->loaded.require_unchanged();
      used->loras.require_unchanged();
    }
  }
}

// A LoRA that is broken itself is named, for no weight makes it better.
image::Picture Session::decoded(Job& job, const at::Tensor& latent) {
  try {
    return decode_latent(job.last_model(), latent);
  } catch (const Error& error) {
    if (error.code() != kUnsupported) throw;
    report_loras(job);
    for (const auto& report : job.result.loras)
      if (report.not_finite > 0)
        throw Error(
            kBadInput,
            "{}: holds values that are not finite in {} of its modules, and so does the picture; leave the "
            "LoRA out, or get another version of it.",
            report.path, report.not_finite);
    throw;
  }
}

void Session::finish_batch(Job& job, int batch, const at::Tensor& latents) {
  const Stopwatch watch(job.result.seconds_decode);
  if (job.listener.on_latents) job.listener.on_latents(latents);
  const LoadedModel& model = job.last_model();
  model.make_room_for(formats::Component::kVae);
  for (int i = 0; i < job.request.batch_size; ++i) {
    throw_if_stopped(job.stop);
    const int index = batch * job.request.batch_size + i;
    const request::PictureSeeds& seeds = job.seeds[static_cast<std::size_t>(index)];
    image::Picture picture = decoded(job, latents.narrow(0, i, 1));
    if (job.request.is_img2img() && job.request.color_correction) {
      const auto& all = job.init.pictures;
      picture = image::colour_corrected(picture, all[all.size() == 1 ? 0 : static_cast<std::size_t>(i)]);
    }
    require_unchanged(job);
    job.result.pictures.push_back({.picture = put_back(job.init, static_cast<std::size_t>(i), picture),
                                   .metadata = describe(job, seeds),
                                   .index = index,
                                   .seed = seeds.seed,
                                   .subseed = seeds.subseed});
    if (job.listener.on_picture) job.listener.on_picture(job.result.pictures.back());
  }
}

// What the LoRAs of both passes did, each once; measuring reads their weights and so waits for the end.
void Session::report_loras(Job& job) {
  job.result.loras.clear();
  // A LoRA that two tags of one pass name stands there twice, as it acts; one that both passes have stands once.
  const auto add = [&](const Pass& pass) {
    const auto before = job.result.loras;
    for (const auto& report : pass.model->loras.reports(adapter::Measure::kYes)) {
      const auto is_same = [&](const adapter::ApplyReport& other) {
        return other.path == report.path && other.unet.weight == report.unet.weight &&
               other.text_encoder.weight == report.text_encoder.weight;
      };
      if (std::ranges::none_of(before, is_same)) job.result.loras.push_back(report);
    }
  };
  if (job.second) activate(job, job.first);
  add(job.first);
  if (!job.second) return;
  activate(job, *job.second);
  add(*job.second);
}

// Facts for the metadata, while the pass's LoRAs act.
void Session::note_loras(Job& job, const Pass& pass) {
  ActiveLoras& loras = pass.model->loras;
  for (const auto& lora : loras.loaded()) add_once(job.lora_hashes, {lora.name, lora.hash});
  for (const auto& report : loras.reports(adapter::Measure::kNo))
    add_once(job.lora_reports, short_report(report));
  for (const auto& lora : loras.missing()) {
    if (std::ranges::find(job.result.missing_loras, lora.name, &MissingLora::name) ==
        job.result.missing_loras.end())
      job.result.missing_loras.push_back(lora);
  }
  for (const auto& warning : loras.warnings()) add_once(job.result.warnings, warning);
  for (const auto& warning : pass.prompts.parsed.warnings) add_once(job.result.warnings, warning);
  for (const std::size_t used : pass.prompts.parsed.used_embeddings) {
    const Embedding& embedding = pass.prompts.embeddings[used];
    if (embedding.lora_version.empty())
      add_once(job.embedding_hashes, {embedding.name, embedding.short_hash()});
  }
}

std::string Session::describe(const Job& job, const request::PictureSeeds& seeds) const {
  const Pass& pass = job.first;
  const LoadedModel& model = pass.model->loaded;
  request::PictureFacts facts{.request = job.request,
                              .model_hash = hash_of(model),
                              .vae_hash = model.vae_hash ? model.vae_hash->prefix(10) : "",
                              .has_vae_file = !model.vae_path.empty(),
                              .int8 = options_.int8,
                              .lora_hashes = job.lora_hashes,
                              .embedding_hashes = job.embedding_hashes,
                              .loras_not_found = {},
                              .lora_reports = job.lora_reports,
                              .version = options_.version};
  for (const auto& lora : job.result.missing_loras) facts.loras_not_found.push_back(lora.name);
  request::GenerationRequest& request = facts.request;
  request.seed = static_cast<std::int64_t>(seeds.seed);
  request.subseed = static_cast<std::int64_t>(seeds.subseed);
  request.sampler = pass.plan.sampler->label;
  request.scheduler = schedule_label(pass.plan);
  request.rng = sampling::rng_name(pass.plan.rng);
  if (job.second) {
    const Pass& second = *job.second;
    request.hr_checkpoint = second.model == pass.model ? "" : title(second.model->loaded);
    request.hr_sampler = second.plan.sampler == pass.plan.sampler ? "" : second.plan.sampler->label;
    request.hr_scheduler = schedule_label(second.plan);
    if (request.hr_scheduler == request.scheduler) request.hr_scheduler.clear();
  }
  for (const Pass* walked : {&job.first, job.second ? &*job.second : nullptr}) {
    if (walked == nullptr) continue;
    if (walked->has_switched) request.refiner_checkpoint = title(walked->refiner->loaded);
    facts.refined |= walked->has_switched;
    facts.uses_emphasis |= walked->prompts.parsed.uses_emphasis;
    facts.padded |= walked->padded;
    facts.skipped_early |= walked->sampled.skipped_early;
    facts.skipped_by_sigma |= walked->sampled.skipped_by_sigma;
  }
  facts.is_inpainting_model = model.is_inpainting();
  if (request.is_img2img()) facts.init_hash = init_picture_hash(request.init_images.back());
  facts.has_mask = job.init.mask.has_value();
  const sampling::SamplerRow& sampler = *pass.plan.sampler;
  facts.uses_eta = sampler.has_eta;
  facts.is_timestep_sampler = sampler.is_timestep;
  facts.uses_churn = sampler.has_churn;
  facts.uses_noise_scale = sampler.has_s_noise;
  facts.uses_ensd = sampler.uses_ensd && pass.plan.sample.sampler_settings.eta != 0;
  return request::picture_metadata(facts);
}

}  // namespace lowrank::pipeline
