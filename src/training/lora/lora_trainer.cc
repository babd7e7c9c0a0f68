#include "training/lora/lora_trainer.h"

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>
#include <fmt/format.h>

#include <charconv>
#include <chrono>
#include <cmath>
#include <deque>
#include <limits>
#include <numeric>
#include <optional>
#include <utility>

#include "adapter/trainable.h"
#include "base/error.h"
#include "training/data/caption_encoder.h"
#include "training/data/latent_cache.h"
#include "training/lora/lora_beginning.h"
#include "training/objective/diffusion_loss.h"
#include "training/objective/lora_loss.h"
#include "training/optim/adamw.h"
#include "training/optim/learning_rate.h"
#include "training/run/loss_meter.h"
#include "training/run/train_state.h"

namespace lowrank::training {
namespace {

namespace fs = std::filesystem;

constexpr int kMaxBadStepsInARow = 20;

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
  ComputeGuard(pipeline::LoadedModel& model, at::ScalarType compute)
      : unet_(*model.unet->policy()),
        text_(*model.text_encoder->policy()),
        old_unet_(unet_.compute),
        old_text_(text_.compute) {
    unet_.compute = text_.compute = compute;
  }
  ~ComputeGuard() {
    unet_.compute = old_unet_;
    text_.compute = old_text_;
  }
  ComputeGuard(const ComputeGuard&) = delete;
  ComputeGuard& operator=(const ComputeGuard&) = delete;

 private:
  model::ComputePolicy &unet_, &text_;
  at::ScalarType old_unet_, old_text_;
};

std::vector<model::NamedParameter> named(const adapter::TrainableLora& lora) {
  std::vector<model::NamedParameter> all;
  for (const auto& parameter : lora.parameters()) all.push_back({parameter.name, parameter.tensor});
  return all;
}

std::vector<double> rates(const adapter::TrainableLora& lora, const LoraTrainOptions& options) {
  std::vector<double> all;
  for (const auto& parameter : lora.parameters())
    all.push_back(parameter.component == formats::Component::kUnet ? options.unet_rate()
                                                                   : options.text_encoder_rate());
  return all;
}

class LoraRun {
 public:
  LoraRun(pipeline::LoadedModel& model, const Dataset& dataset, const LoraTrainOptions& options,
          const LoraTrainHooks& hooks)
      : model_(model),
        dataset_(dataset),
        options_(options),
        hooks_(hooks),
        plan_(plan_run(options, dataset)),
        beginning_(begin_lora_run(model, dataset, options, plan_)),
        latents_(encode_pictures()),
        compute_(model, options.bf16 ? at::kBFloat16 : at::kFloat),
        lora_(options.train_unet ? model.unet.get() : nullptr,
              options.train_text_encoder ? model.text_encoder.get() : nullptr, network()),
        optimiser_(named(lora_), {.weight_decay = options.weight_decay}),
        captions_(*model.text_encoder,
                  {options.clip_skip, options.max_token_length, options.train_text_encoder}) {
    freeze(model.unet->layers(), compute_type());
    freeze(model.text_encoder->layers(), compute_type());
    optimiser_.set_rate_factors(rates(lora_, options));
    tell_what_is_cut();
    for (const auto& note : beginning_.notes) hooks_.say("Note: " + note);
  }

  LoraTrainResult run() {
    result_.file = options_.output_file();
    result_.modules = static_cast<std::int64_t>(lora_.modules());
    started_at_ =
        std::chrono::duration_cast<std::chrono::seconds>(std::chrono::system_clock::now().time_since_epoch())
            .count();
    const std::int64_t first = resume();
    metadata_ = run_metadata(model_, dataset_, options_, started_at_);
    for (std::int64_t step = first; step < plan_.steps; ++step) {
      stop_if_asked(step);
      const double loss = train_step(step);
      note_loss(step, loss);
      model_.require_unchanged();  // nothing is saved that was learned on another model
      save_on_the_way(step + 1);
      if (hooks_.after_step) {
        const at::NoGradGuard no_grad;
        hooks_.after_step(step + 1);
      }
    }
    save_lora(result_.file, lora_.state(), options_.save_precision, metadata_, plan_.steps, plan_);
    fs::remove(options_.state_file());
    result_.steps = plan_.steps;
    if (!recent_.empty())
      result_.loss =
          std::accumulate(recent_.begin(), recent_.end(), 0.0) / static_cast<double>(recent_.size());
    return std::move(result_);
  }

 private:
  at::ScalarType compute_type() const { return options_.bf16 ? at::kBFloat16 : at::kFloat; }

  adapter::TrainableOptions network() const {
    return {options_.network_rank, options_.network_alpha, options_.conv_rank, options_.conv_alpha,
            options_.seed};
  }

  LatentCache encode_pictures() const {
    LatentOptions latents{model_.latent_scale, options_.flip_aug, {}};
    if (options_.cache_latents_to_disk)
      latents.file = options_.state_file().parent_path() / (options_.output_name + "-latents.safetensors");
    LossMeter meter;
    const auto progress = [&](std::int64_t done, std::int64_t total) {
      meter.add(0);
      hooks_.control.report({"latents", done, total, 0, 0, meter.steps_per_second()});
    };
    return LatentCache(*model_.vae, dataset_, latents, progress, hooks_.control.stop);
  }

  void tell_what_is_cut() {
    for (const auto& example : dataset_.examples())
      if (const auto cut = captions_.tokens_cut(example.caption); cut > 0)
        hooks_.say(fmt::format(
            "{}: the caption is {} tokens too long, its end is not seen; raise --max-token-length (now {}).",
            example.picture.string(), cut, options_.max_token_length));
  }

  std::int64_t resume() {
    if (!beginning_.saved) return 0;
    const TrainState saved = *std::exchange(beginning_.saved, std::nullopt);
    lora_.load(saved.tensors);
    optimiser_.load(saved.tensors, saved.step);
    if (const auto begun = saved.facts.find("started_at"); begun != saved.facts.end())
      std::from_chars(begun->second.data(), begun->second.data() + begun->second.size(), started_at_);
    hooks_.say(
        fmt::format("Going on after step {} of {} ({}).", saved.step, plan_.steps, beginning_.path.string()));
    return saved.step;
  }

  void save_state(std::int64_t step) {
    TrainState state{step, beginning_.facts, optimiser_.state()};
    state.facts["started_at"] = std::to_string(started_at_);
    for (auto& [name, tensor] : lora_.state()) state.tensors.emplace(name, tensor);
    save_train_state(options_.state_file(), state);
  }

  void stop_if_asked(std::int64_t step) {
    if (!hooks_.control.stop.stop_requested()) return;
    save_state(step);
    throw Error(kCancelled,
                "stopped after step {} of {}; the state is saved in {}, the same command goes on from there.",
                step, plan_.steps, options_.state_file().string());
  }

  // All randomness of one batch comes from the generator of its number in the run.
  NoisedBatch draw_batch(const ExampleBatch& examples, at::Generator generator) {
    std::vector<at::Tensor> latents;
    std::vector<std::string> texts;
    for (const std::size_t i : examples) {
      const bool flip =
          options_.flip_aug &&
          at::randint(0, 2, {1}, generator, at::TensorOptions(at::kLong)).item<std::int64_t>() == 1;
      latents.push_back(flip ? latents_.mirrored(i) : latents_.plain(i));
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
    batch.context = captions_.encode(texts);
    return batch;
  }

  const std::vector<ExampleBatch>& batches_of(std::int64_t epoch) {
    if (epoch != epoch_) {
      batches_ = dataset_.epoch(options_.seed, epoch);
      epoch_ = epoch;
    }
    return batches_;
  }

  // One update of the weights; the mean loss of its batches.
  double train_step(std::int64_t step) {
    const auto& batches = batches_of(step / plan_.steps_per_epoch);
    const std::int64_t from = step % plan_.steps_per_epoch * options_.gradient_accumulation;
    const std::int64_t to = std::min(from + options_.gradient_accumulation, plan_.batches_per_epoch);
    double sum = 0;
    for (std::int64_t i = from; i < to; ++i) {
      const std::int64_t number = step / plan_.steps_per_epoch * plan_.batches_per_epoch + i;
      const NoisedBatch batch =
          draw_batch(batches[static_cast<std::size_t>(i)], step_generator(options_.seed, number));
      const at::Tensor loss =
          diffusion_loss(*model_.unet, batch, model_.prediction, options_.min_snr_gamma, alphas_);
      (loss / static_cast<double>(to - from)).backward();
      sum += loss.item<double>();
    }
    const double limit =
        options_.max_gradient_norm > 0 ? options_.max_gradient_norm : std::numeric_limits<double>::infinity();
    const bool is_finite = std::isfinite(optimiser_.clip_gradients(limit));
    optimiser_.step(learning_rate_factor(options_.scheduler, step, plan_.steps, options_.warmup_steps));
    bad_in_a_row_ = is_finite ? 0 : bad_in_a_row_ + 1;
    if (!is_finite) ++result_.skipped_steps;
    if (bad_in_a_row_ == kMaxBadStepsInARow)
      throw Error(
          kBadInput,
          "the gradient was not finite {} steps in a row, last at step {}; lower the learning rate or leave "
          "out --mixed-precision.",
          kMaxBadStepsInARow, step + 1);
    return sum / static_cast<double>(to - from);
  }

  void note_loss(std::int64_t step, double loss) {
    result_.losses.push_back(loss);
    recent_.push_back(loss);
    if (recent_.size() > 50) recent_.pop_front();
    if (std::isfinite(loss)) meter_.add(loss);
    const double rate = (options_.train_unet ? options_.unet_rate() : options_.text_encoder_rate()) *
                        learning_rate_factor(options_.scheduler, step, plan_.steps, options_.warmup_steps);
    hooks_.control.report(
        {"lora", step + 1, plan_.steps, meter_.average(), rate, meter_.steps_per_second(), loss});
  }

  // `done` steps are finished.
  void save_on_the_way(std::int64_t done) {
    if (done % hooks_.control.save_every == 0 || done == plan_.steps) save_state(done);
    if (done == plan_.steps) return;
    const auto save_as = [&](const fs::path& file) {
      save_lora(file, lora_.state(), options_.save_precision, metadata_, done, plan_);
    };
    if (options_.save_every_steps > 0 && done % options_.save_every_steps == 0)
      save_as(options_.step_file(done));
    if (options_.save_every_epochs > 0 && done % (options_.save_every_epochs * plan_.steps_per_epoch) == 0)
      save_as(options_.epoch_file(done / plan_.steps_per_epoch));
  }

  pipeline::LoadedModel& model_;
  const Dataset& dataset_;
  const LoraTrainOptions& options_;
  const LoraTrainHooks& hooks_;
  LoraPlan plan_;
  LoraBeginning beginning_;
  LatentCache latents_;
  ComputeGuard compute_;
  adapter::TrainableLora lora_;
  AdamW optimiser_;
  CaptionEncoder captions_;
  at::Tensor alphas_ = alphas_cumprod();
  std::map<std::string, std::string> metadata_;
  std::vector<ExampleBatch> batches_;
  std::int64_t epoch_ = -1, started_at_ = 0;
  int bad_in_a_row_ = 0;
  LossMeter meter_;
  std::deque<double> recent_;
  LoraTrainResult result_;
};

}  // namespace

LoraTrainResult train_lora(pipeline::LoadedModel& model, const Dataset& dataset,
                           const LoraTrainOptions& options, const LoraTrainHooks& hooks) {
  check_options(options);
  return LoraRun(model, dataset, options, hooks).run();
}

}  // namespace lowrank::training
