#include "pipeline/session.h"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <ATen/core/grad_mode.h>
#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <thread>
#include <utility>

#include "base/error.h"
#include "base/progress.h"
#include "pipeline/latent_picture.h"
#include "pipeline/metadata.h"
#include "prompt/styles.h"

namespace lowrank::pipeline {
namespace {

// Adds the time from its making to its end to a number of seconds.
class Stopwatch {
 public:
  explicit Stopwatch(double& seconds) : seconds_(seconds) {}
  ~Stopwatch() { seconds_ += elapsed(); }
  Stopwatch(const Stopwatch&) = delete;
  Stopwatch& operator=(const Stopwatch&) = delete;
  double elapsed() const {
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - start_).count();
  }

 private:
  double& seconds_;
  std::chrono::steady_clock::time_point start_ = std::chrono::steady_clock::now();
};

prompt::Emphasis emphasis_of(const GenerationRequest& request) {
  const auto emphasis = prompt::emphasis_from_label(request.emphasis);
  if (!emphasis)
    throw Error(kBadInput, "there is no emphasis mode '{}'; choose Original, No norm, Ignore or None.",
                request.emphasis);
  return *emphasis;
}

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

void append(std::vector<std::string>& all, const std::vector<std::string>& more) {
  all.insert(all.end(), more.begin(), more.end());
}

}  // namespace

// A request on its way from words to pictures.
struct Session::Job {
  GenerationRequest request;  // complete: nothing is left to be chosen
  LoadedModel& model;
  const Listener& listener;
  std::stop_token stop;
  SamplingPlan plan;
  std::vector<PictureSeeds> seeds;
  EncodeSettings encode_settings;
  PromptConditioning prompts;
  bool padded = false;
  sampling::SampleResult sampled;  // of the latest batch
  GenerationResult result;
};

Session::Session(Resources resources, SessionOptions options)
    : resources_(std::move(resources)), options_(std::move(options)), loras_(resources_.lora) {
  const auto cores = static_cast<int>(std::max(1u, std::thread::hardware_concurrency()));
  at::set_num_threads(options_.threads > 0 ? options_.threads : cores);
}

Session::~Session() {
  loras_.forget();
}

GenerationResult Session::generate(const GenerationRequest& request, const Listener& listener,
                                   std::stop_token stop) {
  const at::NoGradGuard no_grad;
  check_request(request);
  double seconds_load = 0;
  LoadedModel* model = nullptr;
  {
    const Stopwatch watch(seconds_load);
    model = &use_model(request);
  }
  Job job{.request = complete(request, *model),
          .model = *model,
          .listener = listener,
          .stop = std::move(stop),
          .plan = {},
          .seeds = {},
          .encode_settings = {},
          .prompts = {},
          .sampled = {},
          .result = {}};
  job.result.seconds_load = seconds_load;
  job.plan = plan_sampling(job.request, model->prediction);
  job.encode_settings = {.clip_skip = job.request.clip_skip, .emphasis = emphasis_of(job.request)};
  job.seeds = picture_seeds(job.request);
  job.prompts.parsed = parse_prompt(job);
  {
    const Stopwatch watch(job.result.seconds_loras);
    loras_.activate(job.prompts.parsed.networks.loras, *model,
                    job.request.allow_missing_loras ? OnMissing::kReport : OnMissing::kFail);
    job.result.loras = loras_.reports(adapter::Measure::kNo);
  }
  job.result.missing_loras = loras_.missing();
  append(job.result.warnings, job.prompts.parsed.warnings);
  append(job.result.warnings, loras_.warnings());
  encode(job);
  for (int batch = 0; batch < job.request.batch_count; ++batch) {
    const at::Tensor latents = sample(job, batch);
    finish_batch(job, batch, latents);
  }
  job.result.loras = loras_.reports(adapter::Measure::kYes);
  return std::move(job.result);
}

LoadedModel& Session::use_model(const GenerationRequest& request) {
  const bool keep = model_ != nullptr && request.checkpoint.empty();
  const auto path = keep ? model_->path : resources_.checkpoint(request.checkpoint);
  const auto vae = resources_.vae(request.vae, path);
  if (model_ != nullptr && model_->path == path) {
    if (model_->vae_path != vae.value_or(std::filesystem::path())) load_vae(*model_, vae);
    return *model_;
  }
  auto loaded = std::make_unique<LoadedModel>(load_model(path, vae));
  loras_.forget();
  conditioning_cache_.clear();
  loaded->prepare();
  model_ = std::move(loaded);
  embeddings_ = read_embeddings(resources_.embeddings, model_->text_encoder->width());
  return *model_;
}

GenerationRequest Session::complete(const GenerationRequest& asked, const LoadedModel& model) const {
  GenerationRequest request = asked;
  if (request.width == 0) request.width = model.native_size;
  if (request.height == 0) request.height = model.native_size;
  const auto cell = static_cast<int>(model.vae->downscale());
  if (request.width % cell != 0 || request.height % cell != 0)
    throw Error(kBadInput,
                "the size {}x{} does not fit this checkpoint: width and height must be multiples of {}.",
                request.width, request.height, cell);
  request.checkpoint = model.name();
  request.vae = model.vae_path.filename().string();
  auto styled = prompt::apply_styles(request.prompt, request.negative_prompt,
                                     prompt::read_styles(resources_.styles), request.styles);
  if (!styled.unknown.empty())
    throw Error(kNotFound, "there is no style '{}' in {}; check the name, or add it there.",
                styled.unknown.front(), resources_.styles.string());
  request.prompt = std::move(styled.prompt);
  request.negative_prompt = std::move(styled.negative_prompt);
  request.styles.clear();
  return request;
}

prompt::ParsedPrompt Session::parse_prompt(const Job& job) const {
  prompt::Request asked{.prompt = job.request.prompt,
                        .negative_prompt = job.request.negative_prompt,
                        .steps = job.request.steps,
                        .second_order = job.plan.sampler->second_order,
                        .hires_steps = std::nullopt,
                        .settings = {}};
  asked.settings.emphasis = job.encode_settings.emphasis;
  asked.settings.comma_backtrack = job.request.comma_backtrack;
  asked.settings.use_old_timelines = job.request.old_prompt_editing;
  asked.settings.embeddings = embeddings_.names();
  return prompt::parse(asked, tokenizer_);
}

void Session::encode(Job& job) {
  const Stopwatch watch(job.result.seconds_text);
  throw_if_stopped(job.stop);
  const model::TextEncoder& encoder = *job.model.text_encoder;
  const auto encoded = [&](const prompt::Conditioning& conditioning) {
    return conditioning_cache_.encode(encoder, conditioning, embeddings_.embeddings, job.encode_settings,
                                      loras_.text_state());
  };
  for (const auto& piece : job.prompts.parsed.pieces) job.prompts.pieces.push_back(encoded(piece));
  job.prompts.negative = encoded(job.prompts.parsed.negative);
  if (job.request.pad_conds) job.prompts.empty = encode_empty(encoder, job.encode_settings);
}

at::Tensor Session::sample(Job& job, int batch) {
  const Stopwatch watch(job.result.seconds_sample);
  const auto size = static_cast<std::size_t>(job.request.batch_size);
  const std::int64_t cell = job.model.vae->downscale();
  sampling::ImageNoiseOptions noise{.rng = job.plan.rng,
                                    .seeds = {},
                                    .subseeds = {},
                                    .subseed_strength = job.request.subseed_strength.value,
                                    .seed_resize_from_width = job.request.seed_resize_width,
                                    .seed_resize_from_height = job.request.seed_resize_height,
                                    .eta_noise_seed_delta = job.request.ensd,
                                    .channels = job.model.vae->latent_channels(),
                                    .height = job.request.height / cell,
                                    .width = job.request.width / cell};
  std::vector<double> weights;
  for (const auto& use : job.prompts.parsed.composition) weights.push_back(use.weight);
  sampling::SampleRequest request = job.plan.sample;
  for (std::size_t i = 0; i < size; ++i) {
    const PictureSeeds& seeds = job.seeds[static_cast<std::size_t>(batch) * size + i];
    noise.seeds.push_back(seeds.seed);
    noise.subseeds.push_back(seeds.subseed);
    request.guidance.weights.push_back(weights);
  }
  PromptedUNet network(*job.model.unet, job.prompts);
  loras_.set_step(1, job.request.steps);
  const auto on_step = [&](const sampling::StepReport& report) {
    if (report.step < job.request.steps) loras_.set_step(report.step + 1, job.request.steps);
    if (!job.listener.on_step) return;
    StepEvent event{.step = report.step,
                    .steps = report.steps,
                    .batch = batch,
                    .batches = job.request.batch_count,
                    .seconds = watch.elapsed(),
                    .preview = std::nullopt};
    if (job.listener.preview == Preview::kEachStep)
      event.preview = preview_latent(job.model, report.denoised.select(0, 0));
    job.listener.on_step(event);
  };
  job.sampled = sampling::run_sampler(*job.plan.sampler, request, network, *sampling::make_image_noise(noise),
                                      on_step, job.stop);
  job.result.unet_passes += network.passes();
  job.padded = network.padded();
  return std::move(job.sampled.latent);
}

void Session::finish_batch(Job& job, int batch, const at::Tensor& latents) {
  const Stopwatch watch(job.result.seconds_decode);
  job.model.make_room();  // the VAE's maps are the largest of all
  for (int i = 0; i < job.request.batch_size; ++i) {
    throw_if_stopped(job.stop);
    const int index = batch * job.request.batch_size + i;
    const PictureSeeds& seeds = job.seeds[static_cast<std::size_t>(index)];
    job.result.pictures.push_back({.picture = decode_latent(job.model, latents.narrow(0, i, 1)),
                                   .metadata = describe(job, seeds),
                                   .index = index,
                                   .seed = seeds.seed,
                                   .subseed = seeds.subseed});
    if (job.listener.on_picture) job.listener.on_picture(job.result.pictures.back());
  }
}

std::string Session::describe(const Job& job, const PictureSeeds& seeds) {
  PictureFacts facts{.request = job.request,
                     .model_hash = job.model.hash ? job.model.hash->prefix(10) : "",
                     .vae_hash = job.model.vae_hash ? job.model.vae_hash->prefix(10) : "",
                     .has_vae_file = !job.model.vae_path.empty(),
                     .lora_hashes = {},
                     .embedding_hashes = {},
                     .loras_not_found = {},
                     .lora_reports = {},
                     .version = options_.version};
  facts.request.seed = static_cast<std::int64_t>(seeds.seed);
  facts.request.subseed = static_cast<std::int64_t>(seeds.subseed);
  facts.request.sampler = job.plan.sampler->label;
  facts.request.scheduler = schedule_label(job.plan);
  facts.request.rng = sampling::rng_name(job.plan.rng);
  for (const auto& lora : loras_.loaded()) facts.lora_hashes.emplace_back(lora.name, lora.hash);
  for (const auto& lora : loras_.missing()) facts.loras_not_found.push_back(lora.name);
  for (const auto& report : job.result.loras) facts.lora_reports.push_back(short_report(report));
  for (const std::size_t used : job.prompts.parsed.used_embeddings) {
    const Embedding& embedding = embeddings_.embeddings[used];
    facts.embedding_hashes.emplace_back(embedding.name, embedding.short_hash());
  }
  const sampling::SamplerRow& sampler = *job.plan.sampler;
  facts.uses_eta = sampler.has_eta;
  facts.is_timestep_sampler = sampler.is_timestep;
  facts.uses_churn = sampler.has_churn;
  facts.uses_noise_scale = sampler.has_s_noise;
  facts.uses_ensd = sampler.uses_ensd && job.plan.sample.sampler_settings.eta != 0;
  facts.uses_emphasis = job.prompts.parsed.uses_emphasis;
  facts.padded = job.padded;
  facts.skipped_early = job.sampled.skipped_early;
  facts.skipped_by_sigma = job.sampled.skipped_by_sigma;
  return picture_metadata(facts);
}

}  // namespace lowrank::pipeline
