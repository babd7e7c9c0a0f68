#include "training/lora/lora_trainer.h"

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>
#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <chrono>
#include <map>

#include "adapter/trainable.h"
#include "base/error.h"
#include "training/data/caption_encoder.h"
#include "training/data/latent_cache.h"
#include "training/data/told_size.h"
#include "training/lora/lora_run_start.h"
#include "training/objective/diffusion_loss.h"
#include "training/objective/lora_loss.h"
#include "training/optim/optimiser_table.h"
#include "training/run/loss_meter.h"
#include "training/run/objective.h"
#include "training/run/train_state.h"

namespace lowrank::training {
namespace {

namespace fs = std::filesystem;

constexpr const char* kStartedAt = "started_at";

// Frozen weights in the type in which they are multiplied, so that no step converts them again. The CPU's
// kernels take them as they are stored when they form float32 products.
void freeze(model::LayerMap& layers, at::ScalarType compute) {
  for (auto& [path, layer] : layers) {
    const bool is_product =
        layer->kind() == model::LayerKind::kLinear || layer->kind() == model::LayerKind::kConv2d;
    if (is_product && compute == at::kFloat && layer->weight().device().is_cpu()) continue;
    const auto type = is_product ? compute : at::kFloat;
    const auto as = [&](const at::Tensor& t) { return t.defined() ? t.detach().to(type) : t; };
    if (is_product || layer->weight().dim() == 1) layer->adopt(as(layer->weight()), as(layer->bias()));
  }
}

// Restores the compute type of the models when training ends, however it ends.
class ComputeGuard {
 public:
  ComputeGuard(pipeline::LoadedModel& model, at::ScalarType compute) {
    guard(*model.network->policy(), compute);
    for (const auto& encoder : model.text_encoders) guard(*encoder->policy(), compute);
  }
  ~ComputeGuard() {
    for (const auto& [policy, before] : guarded_) policy->compute = before;
  }
  ComputeGuard(const ComputeGuard&) = delete;
  ComputeGuard& operator=(const ComputeGuard&) = delete;

 private:
  void guard(model::ComputePolicy& policy, at::ScalarType compute) {
    guarded_.emplace_back(&policy, std::exchange(policy.compute, compute));
  }
  std::vector<std::pair<model::ComputePolicy*, at::ScalarType>> guarded_;
};

// Text encoders first.
std::vector<adapter::ModelPart> trained_parts(const pipeline::LoadedModel& model,
                                              const LoraTrainOptions& options) {
  auto parts = model.adaptable().parts;
  std::erase_if(parts, [&](const adapter::ModelPart& part) {
    return formats::is_text_encoder(part.component) ? !options.train_text_encoder : !options.train_unet;
  });
  return parts;
}

class LoraObjective final : public Objective {
 public:
  LoraObjective(pipeline::LoadedModel& model, const Dataset& dataset, const LoraTrainOptions& options,
                const LoraPlan& plan, std::int64_t started_at, const RunControl& control)
      : model_(model),
        dataset_(dataset),
        options_(options),
        plan_(plan),
        control_(control),
        captions_(model, {options.clip_skip, options.max_token_length, options.train_text_encoder}),
        latents_(encode_pictures()),
        compute_(model, compute_type()),
        lora_(model.family(), trained_parts(model, options), network(model, options)),
        metadata_(run_metadata(model, dataset, options, started_at)),
        noise_(noise_schedule(has_zero_terminal_snr(model, options))) {
    for (const adapter::ModelPart& part : model.adaptable().parts) freeze(*part.layers, compute_type());
    tell_what_is_cut();
    encode_captions();
  }

  std::int64_t modules() const { return static_cast<std::int64_t>(lora_.modules()); }

  std::string phase() const override { return "lora"; }
  double learning_rate() const override {
    return options_.train_unet ? options_.unet_rate() : options_.text_encoder_rate();
  }
  std::vector<TrainedParameter> parameters() const override {
    std::vector<TrainedParameter> all;
    for (const auto& parameter : lora_.parameters())
      all.push_back({parameter.name, parameter.tensor, rate_of(parameter.component)});
    return all;
  }

  std::int64_t batches(std::int64_t step) const override {
    return std::min(options_.gradient_accumulation, plan_.batches_per_epoch - first_batch(step));
  }

  at::Tensor loss(std::int64_t step, std::int64_t batch) override {
    const std::int64_t epoch = step / plan_.steps_per_epoch, place = first_batch(step) + batch;
    const NoisedBatch noised =
        draw_batch(batches_of(epoch)[static_cast<std::size_t>(place)],
                   step_generator(options_.seed, epoch * plan_.batches_per_epoch + place));
    return diffusion_loss(*model_.network, noised, model_.prediction, options_.min_snr_gamma, noise_);
  }

  tensor::StateDict state() const override { return lora_.state(); }
  void load(const tensor::StateDict& state) override { lora_.load(state); }

  // Nothing is saved that was learned on another model.
  void updated(std::int64_t /*step*/) override { model_.require_unchanged(); }

  void save_on_the_way(std::int64_t done) override {
    if (done == plan_.steps) return;
    if (options_.save_every_steps > 0 && done % options_.save_every_steps == 0)
      save(options_.step_file(done), done);
    if (options_.save_every_epochs > 0 && done % (options_.save_every_epochs * plan_.steps_per_epoch) == 0)
      save(options_.epoch_file(done / plan_.steps_per_epoch), done);
  }

  void finish(std::int64_t done) override { save(options_.output_file(), done); }

 private:
  at::ScalarType compute_type() const { return options_.bf16 ? at::kBFloat16 : at::kFloat; }

  static adapter::TrainableOptions network(const pipeline::LoadedModel& model,
                                           const LoraTrainOptions& options) {
    adapter::TrainableOptions network = {options.network_rank, options.network_alpha, options.conv_rank,
                                         options.conv_alpha, options.seed};
    for (const auto& encoder : model.text_encoders) network.unread_text_layers = encoder->unread_layers();
    return network;
  }

  double rate_of(formats::Component component) const {
    return component == formats::Component::kTextEncoder    ? options_.text_encoder_rate()
           : component == formats::Component::kTextEncoder2 ? options_.text_encoder2_rate()
                                                            : options_.unet_rate();
  }

  LatentCache encode_pictures() const {
    LatentOptions latents{model_.latent_scale, options_.flip_aug, {}};
    if (options_.cache_latents_to_disk)
      latents.file = options_.state_file().parent_path() / (options_.output_name + "-latents.safetensors");
    LossMeter meter;
    const auto progress = [&](std::int64_t done, std::int64_t total) {
      meter.add(0);
      control_.report({"latents", done, total, 0, 0, meter.steps_per_second()});
    };
    return LatentCache(*model_.vae, dataset_, latents, progress, control_.stop);
  }

  void tell_what_is_cut() {
    for (const auto& example : dataset_.examples())
      if (const auto cut = captions_.tokens_cut(example.caption); cut > 0)
        control_.say(
            fmt::format("{}: the caption is {} tokens too long and its end is ignored; raise "
                        "--max-token-length (now {}).",
                        example.picture.string(), cut, options_.max_token_length));
  }

  // Where captions are always the same, their text encoders are needed no more. Shuffled ones are encoded when they come.
  void encode_captions() {
    if (!options_.train_text_encoder && !options_.captions.shuffle) {
      std::vector<std::string> captions;
      for (const auto& example : dataset_.examples()) captions.push_back(example.caption);
      if (options_.captions.dropout_rate > 0) captions.emplace_back();
      captions_.remember(captions, control_.stop);
    }
    model_.make_room_for(pipeline::LoadedModel::Stage::kNetwork);
  }

  // What SDXL is told of the picture, behind the pooled text; undefined for other families.
  at::Tensor told_vector(std::size_t example, bool is_mirrored) const {
    const Example& e = dataset_.examples()[example];
    const auto size = told_size(e.size, e.place.bucket, is_mirrored ? Mirrored::kYes : Mirrored::kNo);
    return pipeline::size_vectors(model_.family().size_conditioning, size).prompt;
  }

  // All randomness of one batch comes from the generator of its number in the run.
  NoisedBatch draw_batch(const ExampleBatch& examples, at::Generator generator) {
    std::vector<at::Tensor> latents, sizes;
    std::vector<std::string> texts;
    for (const std::size_t i : examples) {
      const bool flip =
          options_.flip_aug &&
          at::randint(0, 2, {1}, generator, at::TensorOptions(at::kLong)).item<std::int64_t>() == 1;
      latents.push_back(flip ? latents_.mirrored(i) : latents_.plain(i));
      sizes.push_back(told_vector(i, flip));
      texts.push_back(draw_caption(dataset_.examples()[i].caption, options_.captions, generator));
    }
    NoisedBatch batch;
    batch.latents = at::stack(latents);
    batch.noise = at::empty(batch.latents.sizes()).normal_(0, 1, generator);
    if (options_.noise_offset > 0) {
      const at::Tensor shift =
          at::empty({batch.latents.size(0), batch.latents.size(1), 1, 1}).normal_(0, 1, generator);
      batch.noise = batch.noise + options_.noise_offset * shift;
    }
    batch.timesteps = at::randint(0, 1000, {batch.latents.size(0)}, generator, at::TensorOptions(at::kLong));
    batch.conditioning = captions_.encode(texts);
    at::Tensor& vector = batch.conditioning.vector;
    if (vector.defined()) vector = at::cat({vector, at::stack(sizes)}, 1);
    return batch;
  }

  const std::vector<ExampleBatch>& batches_of(std::int64_t epoch) {
    if (epoch != epoch_) {
      batches_ = dataset_.epoch(options_.seed, epoch);
      epoch_ = epoch;
    }
    return batches_;
  }

  // Within its epoch.
  std::int64_t first_batch(std::int64_t step) const {
    return step % plan_.steps_per_epoch * options_.gradient_accumulation;
  }

  void save(const fs::path& file, std::int64_t done) const {
    save_lora(file, lora_.state(), options_.save_precision, metadata_, done, plan_);
  }

  pipeline::LoadedModel& model_;
  const Dataset& dataset_;
  const LoraTrainOptions& options_;
  const LoraPlan plan_;
  const RunControl& control_;
  CaptionEncoder captions_;  // first: its options are checked before a picture is encoded
  LatentCache latents_;
  ComputeGuard compute_;
  adapter::TrainableLora lora_;
  std::map<std::string, std::string> metadata_;
  NoiseSchedule noise_;
  std::vector<ExampleBatch> batches_;
  std::int64_t epoch_ = -1;
};

// Before anything is spent on it.
void require_trainable(const pipeline::LoadedModel& model, const LoraTrainOptions& options) {
  const auto refuse = [&](std::string_view why) {
    throw Error(kUnsupported, "{}: {}.", model.path.string(), why);
  };
  if (model.base_model == formats::BaseModel::kSdxlRefiner)
    refuse(
        "LoRAs cannot be trained on the SDXL refiner; train on an SDXL base checkpoint, which draws what the "
        "refiner only finishes");
  if (model.is_inpainting())
    refuse(
        "LoRAs cannot be trained on inpainting checkpoints; train on the checkpoint it was made from, and "
        "use "
        "the LoRA with both");
  if (model.has_guidance_input)
    refuse(
        "LoRAs cannot be trained on a checkpoint that was distilled with the CFG scale as an input; train on "
        "the checkpoint it was made from");
  if (model.prediction == formats::PredictionType::kFlow)
    throw Error(
        kUnsupported,
        "{}: LoRAs cannot be trained on rectified-flow checkpoints; choose one that predicts epsilon or v.",
        model.path.string());
  if (options.zero_terminal_snr && model.prediction != formats::PredictionType::kV)
    throw Error(
        kBadInput,
        "--zero-terminal-snr: needs a checkpoint that predicts v, as pure noise tells one that predicts "
        "epsilon nothing; {} predicts epsilon.",
        model.path.string());
  if (options.text_encoder2_learning_rate && model.text_encoders.size() < 2)
    throw Error(kBadInput,
                "--text-encoder-lr: has two rates, but {} checkpoints have one text encoder; give one rate.",
                model.family().name);
}

// Unix seconds: when the run began, which a resumed run remembers.
std::int64_t started_at(const RunState& run) {
  std::int64_t seconds =
      std::chrono::duration_cast<std::chrono::seconds>(std::chrono::system_clock::now().time_since_epoch())
          .count();
  if (!run.saved) return seconds;
  if (const auto found = run.saved->facts.find(kStartedAt); found != run.saved->facts.end())
    std::from_chars(found->second.data(), found->second.data() + found->second.size(), seconds);
  return seconds;
}

}  // namespace

LoraTrainResult train_lora(pipeline::LoadedModel& model, const Dataset& dataset,
                           const LoraTrainOptions& options, const RunControl& control) {
  request::check_options({.options = options});
  require_trainable(model, options);
  const LoraPlan plan = plan_run(options, dataset);
  LoraRunStart start = begin_lora_run(model, dataset, options, plan);
  const std::int64_t began = started_at(start.run);
  start.run.facts[kStartedAt] = std::to_string(began);
  LoraObjective objective(model, dataset, options, plan, began, control);
  for (const auto& note : start.notes) control.say("Note: " + note);
  const auto optimiser =
      make_optimiser(options.optimiser, objective.parameters(), {.weight_decay = options.weight_decay});
  LoraTrainResult result;
  static_cast<RunResult&>(result) =
      run_training(objective, *optimiser,
                   {.schedule = {options.scheduler, plan.steps, options.warmup_steps},
                    .max_gradient_norm = options.max_gradient_norm},
                   start.run, control);
  result.file = options.output_file();
  result.steps = plan.steps;
  result.modules = objective.modules();
  return result;
}

}  // namespace lowrank::training
