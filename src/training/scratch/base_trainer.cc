#include "training/scratch/base_trainer.h"

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>

#include <algorithm>
#include <string>
#include <vector>

#include "kernels/adamw.h"
#include "training/objective/diffusion_loss.h"
#include "training/optim/optimiser_table.h"
#include "training/run/objective.h"
#include "training/run/train_state.h"

namespace lowrank::training {
namespace {

// Parameters of both models under one name space: "text/…" and "unet/…".
std::vector<model::NamedParameter> all_parameters(model::TextEncoder& text, model::DiffusionModel& unet) {
  std::vector<model::NamedParameter> all;
  for (auto& [name, tensor] : model::parameters(text.layers())) all.push_back({"text/" + name, tensor});
  for (auto& [name, tensor] : model::parameters(unet.layers())) all.push_back({"unet/" + name, tensor});
  return all;
}

struct Batch {
  at::Tensor latents, ids, noise, timesteps;
};

Batch draw_batch(const CaptionedLatents& data, const BaseTrainOptions& options, at::Generator generator) {
  const std::int64_t pictures = data.latents.size(0);
  const auto integers = at::TensorOptions(at::kLong);
  const at::Tensor rows = at::randint(0, pictures, {options.batch}, generator, integers);
  Batch batch;
  batch.latents = data.latents.index_select(0, rows);
  const at::Tensor chance = at::empty({2, options.batch}).uniform_(0, 1, generator);
  if (data.mirrored.defined()) {
    batch.latents =
        at::where((chance[0] < 0.5).view({-1, 1, 1, 1}), data.mirrored.index_select(0, rows), batch.latents);
  }
  batch.ids = at::where((chance[1] < options.empty_caption_rate).view({-1, 1}), data.empty_ids.view({1, -1}),
                        data.ids.index_select(0, rows));
  batch.noise = at::empty(batch.latents.sizes()).normal_(0, 1, generator);
  if (options.noise_offset > 0)
    batch.noise += options.noise_offset *
                   at::empty({options.batch, batch.latents.size(1), 1, 1}).normal_(0, 1, generator);
  batch.timesteps = at::randint(0, 1000, {options.batch}, generator, integers);
  return batch;
}

class BaseObjective final : public Objective {
 public:
  BaseObjective(model::TextEncoder& text, model::DiffusionModel& unet, const CaptionedLatents& data,
                const BaseTrainOptions& options)
      : text_(text), unet_(unet), data_(data), options_(options), parameters_(all_parameters(text, unet)) {
    for (auto& [name, tensor] : parameters_) tensor.requires_grad_(true);
    text.policy()->compute = unet.policy()->compute = options.mixed_precision ? at::kBFloat16 : at::kFloat;
  }
  ~BaseObjective() override {
    for (auto& [name, tensor] : parameters_) tensor.requires_grad_(false);
    text_.policy()->compute = unet_.policy()->compute = at::kFloat;
  }

  std::string phase() const override { return "base"; }
  double learning_rate() const override { return options_.learning_rate; }
  std::vector<TrainedParameter> parameters() const override {
    std::vector<TrainedParameter> all;
    for (const auto& [name, tensor] : parameters_)
      all.push_back({name, tensor, options_.learning_rate, tensor.dim() >= 2});
    return all;
  }

  void begin() override {
    for (const auto& [name, tensor] : parameters_) average_.push_back(tensor.clone());
  }

  at::Tensor loss(std::int64_t step, std::int64_t /*batch*/) override {
    const Batch batch = draw_batch(data_, options_, step_generator(options_.seed, step));
    const at::Tensor noisy = add_noise(batch.latents, batch.noise, batch.timesteps, alphas_);
    const at::Tensor eps = unet_.forward(noisy, batch.timesteps.to(at::kFloat), {text_.encode(batch.ids)});
    return weighted_mse(eps, batch.noise,
                        truncated_snr_weight(batch.timesteps, alphas_, options_.min_snr, options_.max_snr));
  }

  void updated(std::int64_t step) override {
    const double keep =
        std::min(options_.ema, static_cast<double>(step + 1) / static_cast<double>(step + 10));
    for (std::size_t i = 0; i < parameters_.size(); ++i)
      kernels::move_average(average_[i].data_ptr<float>(), parameters_[i].tensor.data_ptr<float>(),
                            average_[i].numel(), static_cast<float>(1 - keep));
  }

  tensor::StateDict state() const override {
    tensor::StateDict state;
    for (std::size_t i = 0; i < parameters_.size(); ++i) {
      state.emplace("w/" + parameters_[i].name, parameters_[i].tensor);
      state.emplace("ema/" + parameters_[i].name, average_[i]);
    }
    return state;
  }
  void load(const tensor::StateDict& state) override {
    for (auto& [name, tensor] : parameters_) {
      tensor.copy_(state.at("w/" + name));
      average_.push_back(state.at("ema/" + name).clone());
    }
  }

  // The models get the averaged weights.
  void finish(std::int64_t /*done*/) override {
    const at::NoGradGuard no_grad;
    for (std::size_t i = 0; i < parameters_.size(); ++i) parameters_[i].tensor.copy_(average_[i]);
  }

 private:
  model::TextEncoder& text_;
  model::DiffusionModel& unet_;
  const CaptionedLatents& data_;
  const BaseTrainOptions& options_;
  std::vector<model::NamedParameter> parameters_;
  std::vector<at::Tensor> average_;
  at::Tensor alphas_ = alphas_cumprod();
};

}  // namespace

RunResult train_base(model::TextEncoder& text, model::DiffusionModel& unet, const CaptionedLatents& data,
                     const BaseTrainOptions& options, const std::filesystem::path& state_path,
                     const RunControl& control) {
  RunState state = open_run_state(
      state_path, {{"lowrank.phase", "base"},
                   {"lowrank.seed", std::to_string(options.seed)},
                   {"the pictures", checksum({{"latents", data.latents}, {"ids", data.ids}})}});
  BaseObjective objective(text, unet, data, options);
  const auto optimiser =
      make_optimiser("AdamW", objective.parameters(), {.weight_decay = options.weight_decay});
  return run_training(objective, *optimiser,
                      {.schedule = {"cosine", options.steps, options.warmup},
                       .max_gradient_norm = options.gradient_clip,
                       .keeps_state = true},
                      state, control);
}

}  // namespace lowrank::training
