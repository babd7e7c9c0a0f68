#include "training/scratch/base_trainer.h"

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>

#include <algorithm>
#include <string>
#include <vector>

#include "base/error.h"
#include "base/progress.h"
#include "kernels/adamw.h"
#include "training/objective/diffusion_loss.h"
#include "training/optim/adamw.h"
#include "training/optim/learning_rate.h"
#include "training/run/loss_meter.h"
#include "training/run/train_state.h"

namespace lowrank::training {
namespace {

// Parameters of both models under one name space: "text/…" and "unet/…".
std::vector<model::NamedParameter> all_parameters(model::TextEncoder& text, model::UNet& unet) {
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

}  // namespace

void train_base(model::TextEncoder& text, model::UNet& unet, const CaptionedLatents& data,
                const BaseTrainOptions& options, const std::filesystem::path& state_path,
                const RunControl& control) {
  auto parameters = all_parameters(text, unet);
  const StateFacts facts = {{"lowrank.phase", "base"},
                            {"lowrank.seed", std::to_string(options.seed)},
                            {"the pictures", checksum({{"latents", data.latents}, {"ids", data.ids}})}};
  std::vector<at::Tensor> average;
  std::int64_t first = 0;
  const auto saved = load_train_state(state_path);
  if (saved) check_facts(state_path, *saved, facts);
  {
    const at::NoGradGuard no_grad;
    for (auto& [name, tensor] : parameters) {
      if (saved) tensor.copy_(saved->tensors.at("w/" + name));
      average.push_back(saved ? saved->tensors.at("ema/" + name).clone() : tensor.clone());
    }
  }
  for (auto& [name, tensor] : parameters) tensor.requires_grad_(true);
  AdamW optimiser(parameters, {.weight_decay = options.weight_decay});
  if (saved) {
    first = saved->step;
    optimiser.load(saved->tensors, first);
  }
  const auto precision = options.mixed_precision ? at::kBFloat16 : at::kFloat;
  text.policy()->compute = unet.policy()->compute = precision;

  const auto save = [&](std::int64_t step) {
    TrainState state{step, facts, optimiser.state()};
    for (std::size_t i = 0; i < parameters.size(); ++i) {
      state.tensors.emplace("w/" + parameters[i].name, parameters[i].tensor);
      state.tensors.emplace("ema/" + parameters[i].name, average[i]);
    }
    save_train_state(state_path, state);
  };
  const at::Tensor alphas = alphas_cumprod();
  LossMeter meter;
  for (std::int64_t step = first; step < options.steps; ++step) {
    if (control.stop.stop_requested()) {
      save(step);
      throw_if_stopped(control.stop);
    }
    const Batch batch = draw_batch(data, options, step_generator(options.seed, step));
    const at::Tensor noisy = add_noise(batch.latents, batch.noise, batch.timesteps, alphas);
    const at::Tensor eps = unet.forward(noisy, batch.timesteps.to(at::kFloat), text.encode(batch.ids));
    const at::Tensor loss = weighted_mse(
        eps, batch.noise, truncated_snr_weight(batch.timesteps, alphas, options.min_snr, options.max_snr));
    loss.backward();
    optimiser.clip_gradients(options.gradient_clip);
    const double rate =
        options.learning_rate * learning_rate_factor("cosine", step, options.steps, options.warmup);
    optimiser.step(rate);
    {
      const at::NoGradGuard no_grad;
      const double keep =
          std::min(options.ema, static_cast<double>(step + 1) / static_cast<double>(step + 10));
      for (std::size_t i = 0; i < parameters.size(); ++i) {
        kernels::move_average(average[i].data_ptr<float>(), parameters[i].tensor.data_ptr<float>(),
                              average[i].numel(), static_cast<float>(1 - keep));
      }
    }
    meter.add(loss.item<double>());
    control.report({"base", step + 1, options.steps, meter.average(), rate, meter.steps_per_second()});
    if ((step + 1) % control.save_every == 0 || step + 1 == options.steps) save(step + 1);
  }
  const at::NoGradGuard no_grad;
  for (std::size_t i = 0; i < parameters.size(); ++i) {
    parameters[i].tensor.requires_grad_(false);
    parameters[i].tensor.copy_(average[i]);
  }
  text.policy()->compute = unet.policy()->compute = at::kFloat;
}

}  // namespace lowrank::training
