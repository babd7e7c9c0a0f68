#include "training/scratch/vae_trainer.h"

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>

#include <algorithm>
#include <cmath>

#include <string>
#include <vector>

#include "base/error.h"
#include "base/progress.h"
#include "training/optim/adamw.h"
#include "training/optim/learning_rate.h"
#include "training/run/loss_meter.h"
#include "training/run/train_state.h"

namespace lowrank::training {
namespace {

constexpr double kLatentScale = 0.18215;

// A batch of random squares of side `side` (whole pictures when side is their size), mirrored half the time.
at::Tensor crops(const at::Tensor& pictures, std::int64_t count, std::int64_t side, at::Generator generator) {
  const auto integers = at::TensorOptions(at::kLong);
  const at::Tensor rows = at::randint(0, pictures.size(0), {count}, generator, integers);
  const at::Tensor y = at::randint(0, pictures.size(2) - side + 1, {count}, generator, integers);
  const at::Tensor x = at::randint(0, pictures.size(3) - side + 1, {count}, generator, integers);
  const at::Tensor mirror = at::randint(0, 2, {count}, generator, integers);
  std::vector<at::Tensor> parts;
  for (std::int64_t i = 0; i < count; ++i) {
    at::Tensor part = pictures[rows[i].item<std::int64_t>()]
                          .narrow(1, y[i].item<std::int64_t>(), side)
                          .narrow(2, x[i].item<std::int64_t>(), side);
    if (mirror[i].item<std::int64_t>() == 1) part = part.flip(2);
    parts.push_back(part);
  }
  return to_signed(at::stack(parts));
}

at::Tensor differences(const at::Tensor& a, const at::Tensor& b) {
  const at::Tensor d = a - b;
  const auto along = [&](std::int64_t dim) {
    return (d.narrow(dim, 1, d.size(dim) - 1) - d.narrow(dim, 0, d.size(dim) - 1)).abs().mean();
  };
  return along(2) + along(3);
}

}  // namespace

at::Tensor to_signed(const at::Tensor& pictures) {
  return pictures.to(at::kFloat).div(127.5).sub(1.0);
}

void train_vae(model::Vae& vae, const at::Tensor& pictures, const VaeTrainOptions& options,
               const std::filesystem::path& state_path, const RunControl& control) {
  auto parameters = model::parameters(vae.layers());
  const StateFacts facts = {{"lowrank.phase", "vae"},
                            {"lowrank.seed", std::to_string(options.seed)},
                            {"the pictures", checksum({{"pictures", pictures}})}};
  std::int64_t first = 0;
  const auto saved = load_train_state(state_path);
  if (saved) check_facts(state_path, *saved, facts);
  if (saved) {
    const at::NoGradGuard no_grad;
    for (auto& [name, tensor] : parameters) tensor.copy_(saved->tensors.at("w/" + name));
    first = saved->step;
  }
  if (!saved) {
    // Near-zero variance at the start: unit noise would drown the untrained encoder's small means, and colours with them.
    const at::NoGradGuard no_grad;
    vae.layers().at("quant_conv")->bias().narrow(0, vae.latent_channels(), vae.latent_channels()).fill_(-8);
  }
  for (auto& [name, tensor] : parameters) tensor.requires_grad_(true);
  AdamW optimiser(parameters, {.weight_decay = 0});
  if (saved) optimiser.load(saved->tensors, first);
  vae.policy()->compute = options.mixed_precision ? at::kBFloat16 : at::kFloat;

  const auto save = [&](std::int64_t step) {
    TrainState state{step, facts, optimiser.state()};
    for (const auto& [name, tensor] : parameters) state.tensors.emplace("w/" + name, tensor);
    save_train_state(state_path, state);
  };
  LossMeter meter;
  for (std::int64_t step = first; step < options.steps; ++step) {
    if (control.stop.stop_requested()) {
      save(step);
      throw_if_stopped(control.stop);
    }
    at::Generator generator = step_generator(options.seed, step);
    const bool whole = step >= options.steps - options.full_size_steps;
    const at::Tensor x =
        whole ? crops(pictures, std::max<std::int64_t>(1, options.batch / 4), pictures.size(2), generator)
              : crops(pictures, options.batch, options.crop, generator);
    const auto moments = vae.encode_moments(x).chunk(2, 1);
    const at::Tensor log_variance = moments[1].clamp(-30, 20);
    const at::Tensor noise = at::empty_like(moments[0]).normal_(0, 1, generator);
    const at::Tensor y = vae.decode(moments[0] + at::exp(0.5 * log_variance) * noise);
    const at::Tensor kl =
        0.5 * (moments[0].square() + log_variance.exp() - 1 - log_variance).sum({1, 2, 3}).mean();
    const at::Tensor loss = (x - y).abs().mean() + 2 * (x - y).square().mean() +
                            options.difference_weight * differences(x, y) + options.kl_weight * kl;
    loss.backward();
    optimiser.clip_gradients(1.0);
    const double rate =
        options.learning_rate * learning_rate_factor("cosine", step, options.steps, options.warmup);
    optimiser.step(rate);
    meter.add(loss.item<double>());
    control.report({"vae", step + 1, options.steps, meter.average(), rate, meter.steps_per_second()});
    if ((step + 1) % control.save_every == 0 || step + 1 == options.steps) save(step + 1);
  }
  for (auto& [name, tensor] : parameters) tensor.requires_grad_(false);
  vae.policy()->compute = at::kFloat;
}

at::Tensor encode_latents(const model::Vae& vae, const at::Tensor& pictures, std::int64_t batch) {
  const at::NoGradGuard no_grad;
  std::vector<at::Tensor> parts;
  for (std::int64_t from = 0; from < pictures.size(0); from += batch) {
    const std::int64_t count = std::min(batch, pictures.size(0) - from);
    parts.push_back(vae.encode_moments(to_signed(pictures.narrow(0, from, count))).chunk(2, 1)[0] *
                    kLatentScale);
  }
  return at::cat(parts);
}

double normalise_latents(model::Vae& vae, const at::Tensor& pictures) {
  const at::NoGradGuard no_grad;
  const double factor = 1.0 / encode_latents(vae, pictures).std().item<double>();
  auto& layers = vae.layers();
  model::Layer& quant = *layers.at("quant_conv");
  const std::int64_t channels = vae.latent_channels();
  quant.weight().narrow(0, 0, channels).mul_(factor);
  quant.bias().narrow(0, 0, channels).mul_(factor);
  quant.bias().narrow(0, channels, channels).add_(2 * std::log(factor));
  layers.at("post_quant_conv")->weight().div_(factor);
  return factor;
}

}  // namespace lowrank::training
