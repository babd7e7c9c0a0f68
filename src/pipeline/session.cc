#include "pipeline/session.h"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <ATen/core/grad_mode.h>

#include <algorithm>
#include <thread>
#include <utility>

#include "base/error.h"
#include "base/progress.h"
#include "pipeline/generate/complete_request.h"
#include "pipeline/generate/generation_job.h"
#include "pipeline/generate/hires.h"
#include "tensor/arena.h"

namespace lowrank::pipeline {
namespace {

prompt::Emphasis emphasis_of(const request::GenerationRequest& request) {
  const auto emphasis = prompt::emphasis_from_label(request.emphasis);
  if (!emphasis)
    throw Error(kBadInput, "there is no emphasis mode '{}'; choose Original, No norm, Ignore or None.",
                request.emphasis);
  return *emphasis;
}

double merged_tokens(const request::GenerationRequest& request, bool is_second_pass) {
  const double second = request.token_merging_ratio_hr.value;
  return is_second_pass && second > 0 ? second : request.token_merging_ratio.value;
}

// Two models that take turns on one latent.
void require_like(const LoadedModel& first, const LoadedModel& other) {
  if (first.prediction == other.prediction && first.latent_scale == other.latent_scale &&
      first.unet->in_channels() == other.unet->in_channels() &&
      first.vae->downscale() == other.vae->downscale())
    return;
  throw Error(kUnsupported,
              "the checkpoints {} and {} cannot work on one picture: they differ in prediction type, latents "
              "or input "
              "channels.",
              first.name(), other.name());
}

}  // namespace

Session::Session(Resources resources, SessionOptions options)
    : resources_(std::move(resources)),
      options_(std::move(options)),
      packed_(options_.packed_cache),
      upscalers_(resources_.upscalers) {
  const auto cores = static_cast<int>(std::max(1u, std::thread::hardware_concurrency()));
  at::set_num_threads(options_.threads > 0 ? options_.threads : cores);
}

Session::~Session() = default;

GenerationResult Session::generate(const request::GenerationRequest& request, const Listener& listener,
                                   std::stop_token stop) {
  const at::NoGradGuard no_grad;
  request::check_request(request);
  Job job{.request = request, .listener = listener, .stop = std::move(stop)};
  bring_models(job, request);
  job.request = complete_request(request, job.first.model->loaded, resources_.styles, job.result.warnings);
  plan_passes(job);
  job.seeds = request::picture_seeds(job.request);
  activate(job, job.first);
  if (job.request.is_img2img()) start_from_pictures(job);
  struct ReleaseArena {
    ~ReleaseArena() { tensor::release_arena(); }
  } const release;  // also when it ends early
  for (int batch = 0; batch < job.request.batch_count && !job.is_finished; ++batch) {
    at::Tensor latents = first_pass(job, batch);
    if (job.second && !job.first.ended_early) latents = second_pass(job, batch, latents);
    finish_batch(job, batch, latents);
  }
  report_loras(job);
  return std::move(job.result);
}

// ── models ──────────────────────────────────────────────────────────────────────────────────────────────

Session::Place Session::locate(const std::string& checkpoint, const std::string& vae) const {
  std::error_code gone;
  const bool keep = checkpoint.empty() && !base_path_.empty() && std::filesystem::exists(base_path_, gone);
  Place place{.checkpoint = keep ? base_path_ : resources_.checkpoint(checkpoint), .vae = {}};
  place.vae = resources_.vae(vae, place.checkpoint);
  return place;
}

ResidentModel& Session::bring(const Place& place) {
  for (const auto& resident : residents_) {
    LoadedModel& model = resident->loaded;
    if (model.path != place.checkpoint) continue;
    if (model.vae_path != place.vae.value_or(std::filesystem::path()) ||
        (&model != held_ && !model.is_vae_current())) {
      load_vae(model, place.vae);
      model.prepare_vae(packed_);
    }
    return *resident;
  }
  auto made = std::make_unique<ResidentModel>(load_model(place.checkpoint, place.vae, packed_.hash_memo()),
                                              resources_.lora, resources_.embeddings);
  if (options_.int8) made->loaded.hold_unet_in_int8();
  made->loaded.prepare(packed_);
  made->loaded.require_unchanged();
  return *residents_.emplace_back(std::move(made));
}

// A checkpoint that was written to or exchanged since it was loaded is loaded anew.
void Session::drop_stale() {
  std::erase_if(residents_, [&](const auto& resident) {
    if (&resident->loaded == held_ || resident->loaded.is_current()) return false;
    if (resident.get() == base_) base_ = nullptr;
    return true;
  });
}

void Session::drop_all_but(const std::vector<const ResidentModel*>& kept) {
  std::erase_if(residents_,
                [&](const auto& resident) { return std::ranges::find(kept, resident.get()) == kept.end(); });
}

LoadedModel& Session::use_model(const request::GenerationRequest& request) {
  const Place place = locate(request.checkpoint, request.vae);
  drop_stale();
  base_ = &bring(place);
  base_path_ = place.checkpoint;
  drop_all_but({base_});
  return base_->loaded;
}

void Session::forget_encodings() {
  for (const auto& resident : residents_) resident->cache.clear();
}

std::int64_t Session::text_encodings() const {
  std::int64_t count = 0;
  for (const auto& resident : residents_) count += resident->cache.encodings();
  return count;
}

void Session::bring_models(Job& job, const request::GenerationRequest& request) {
  const Stopwatch watch(job.result.seconds_load);
  const Place place = locate(request.checkpoint, request.vae);
  drop_stale();
  job.first.model = base_ = &bring(place);
  base_path_ = place.checkpoint;
  std::vector<const ResidentModel*> used = {base_};
  if (request.enable_hr && !request.is_img2img()) {
    const bool same = request.hr_checkpoint.empty() || request.hr_checkpoint == "Use same checkpoint";
    job.second.emplace().model = same ? base_ : &bring(locate(request.hr_checkpoint, request.vae));
    used.push_back(job.second->model);
  }
  if (has_refiner(request)) {
    ResidentModel& refiner = bring(locate(request.refiner_checkpoint, request.vae));
    used.push_back(&refiner);
    const std::string& which = request.hires_refiner_pass;
    if (!job.second || which != "second pass") job.first.refiner = &refiner;
    if (job.second && which != "first pass") job.second->refiner = &refiner;
  }
  drop_all_but(used);
  for (const auto& resident : residents_) resident->refresh_embeddings();
  for (const Pass* pass : {&job.first, job.second ? &*job.second : nullptr})
    if (pass != nullptr && pass->refiner != nullptr) require_like(pass->model->loaded, pass->refiner->loaded);
  if (job.second) require_like(job.first.model->loaded, job.second->model->loaded);
}

// ── the request ─────────────────────────────────────────────────────────────────────────────────────────

void Session::plan_passes(Job& job) {
  const request::GenerationRequest& request = job.request;
  job.encode_settings = {.clip_skip = request.clip_skip, .emphasis = emphasis_of(request)};
  job.first.plan = plan_sampling(request, job.first.model->loaded.prediction);
  job.first.prompt = request.prompt;
  job.first.negative_prompt = request.negative_prompt;
  if (!job.second) return;
  Pass& second = *job.second;
  second.plan = plan_sampling(second_request(request), second.model->loaded.prediction);
  second.prompt = request.hr_prompt;
  second.negative_prompt = request.hr_negative_prompt;
  second.calls_before = sampling::planned_calls(*job.first.plan.sampler, request.steps);
  upscalers_.check(request.hr_upscaler, latent_upscale_names());
}

prompt::ParsedPrompt Session::parse_prompt(const Job& job, const Pass& pass,
                                           const ResidentModel& model) const {
  // Calls of the model count, so steps need no doubling for samplers of second order.
  const int calls = sampling::planned_calls(*pass.plan.sampler, pass.plan.sample.steps);
  prompt::Request asked{.prompt = pass.prompt,
                        .negative_prompt = pass.negative_prompt,
                        .steps = pass.calls_before.value_or(calls),
                        .second_order = false,
                        .hires_steps = pass.calls_before ? std::optional(calls) : std::nullopt,
                        .settings = {}};
  asked.settings.emphasis = job.encode_settings.emphasis;
  asked.settings.comma_backtrack = job.request.comma_backtrack;
  asked.settings.use_old_timelines = job.request.old_prompt_editing;
  asked.settings.embeddings = names_of(model.usable_embeddings());
  for (const auto& skipped : model.embeddings.skipped)
    if (std::ranges::find(asked.settings.embeddings, skipped.name, &prompt::EmbeddingName::name) ==
        asked.settings.embeddings.end())
      asked.settings.unusable.push_back(skipped);
  asked.settings.limits = options_.prompt_limits;
  return prompt::parse(asked, tokenizer_);
}

PromptMemoryRequest Session::memory_request(const Job& job, const Pass& pass) const {
  const request::GenerationRequest& request = job.request;
  const std::int64_t cell = pass.model->loaded.vae->downscale();
  HiresSize size{.width = request.width, .height = request.height};
  if (job.second && &pass == &*job.second) size = hires_size(request, static_cast<int>(cell));
  return {.pictures = request.batch_size,
          .cells = (size.width / cell) * (size.height / cell),
          .pads = request.pad_conds};
}

// The pass's LoRAs act, and its texts are encoded under them.
void Session::activate(Job& job, Pass& pass) {
  throw_if_stopped(job.stop);
  const request::GenerationRequest& request = job.request;
  const auto prepare = [&](ResidentModel& model, PromptConditioning& prompts) {
    model.loaded.set_tiling(request.tiling);
    model.loaded.unet->policy()->merged_tokens = merged_tokens(request, job.second && &pass == &*job.second);
    auto parsed = parse_prompt(job, pass, model);
    check_prompt_memory(parsed, *model.loaded.unet, memory_request(job, pass), options_.prompt_limits);
    const bool had_bundled = !model.loras.embeddings().empty();
    {
      const Stopwatch watch(job.result.seconds_loras);
      const auto tags =
          request.disable_extra_networks ? std::vector<prompt::LoraTag>() : parsed.networks.loras;
      model.loras.activate(tags, model.loaded,
                           request.allow_missing_loras ? OnMissing::kReport : OnMissing::kFail,
                           job.listener.on_prepare, job.stop);
    }
    // The tags tell which LoRAs act, and these may bring embeddings, which change how the words are read.
    if (had_bundled || !model.loras.embeddings().empty()) parsed = parse_prompt(job, pass, model);
    // LoRAs that switch on and off have the texts encoded once for each set of them.
    PromptMemoryRequest memory = memory_request(job, pass);
    memory.chunks = model.chunks_to_encode(parsed);
    prompt::check_limit(&prompt::PromptLimits::chunks, options_.prompt_limits, memory.chunks,
                        "with the LoRAs that switch on and off, the prompt");
    check_prompt_memory(parsed, *model.loaded.unet, memory, options_.prompt_limits);
    const Stopwatch watch(job.result.seconds_text);
    prompts = model.encode(parsed, job.encode_settings, request.pad_conds, job.stop);
  };
  prepare(*pass.model, pass.prompts);
  if (pass.refiner != nullptr) prepare(*pass.refiner, pass.refined);
  note_loras(job, pass);
}

}  // namespace lowrank::pipeline
