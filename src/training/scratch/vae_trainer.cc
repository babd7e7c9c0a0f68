#include "training/scratch/vae_trainer.h"

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>

#include <algorithm>
#include <cmath>
#include <string>
#include <vector>

#include "formats/family.h"
#include "training/data/picture_file.h"
#include "training/optim/optimiser_table.h"
#include "training/run/objective.h"
#include "training/run/train_state.h"

namespace lowrank::training {
namespace {

const double kLatentScale = formats::family(formats::BaseModel::kSd1)->latent_scale;

// A batch of random squares of side `side`, mirrored half the time.
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

class VaeObjective final : public Objective {
 public:
  VaeObjective(model::Vae& vae, const at::Tensor& pictures, const VaeTrainOptions& options)
      : vae_(vae), pictures_(pictures), options_(options), parameters_(model::parameters(vae.layers())) {
    for (auto& [name, tensor] : parameters_) tensor.requires_grad_(true);
    vae.policy()->compute = options.mixed_precision ? at::kBFloat16 : at::kFloat;
  }
  ~VaeObjective() override {
    for (auto& [name, tensor] : parameters_) tensor.requires_grad_(false);
    vae_.policy()->compute = at::kFloat;
  }

  std::string phase() const override { return "vae"; }
  double learning_rate() const override { return options_.learning_rate; }
  std::vector<TrainedParameter> parameters() const override {
    std::vector<TrainedParameter> all;
    for (const auto& [name, tensor] : parameters_)
      all.push_back({name, tensor, options_.learning_rate, tensor.dim() >= 2});
    return all;
  }

  // Near-zero variance at the start: unit noise would drown the untrained encoder's small means, and colours with them.
  void begin() override {
    vae_.layers()
        .at("quant_conv")
        ->bias()
        .narrow(0, vae_.latent_channels(), vae_.latent_channels())
        .fill_(-8);
  }

  at::Tensor loss(std::int64_t step, std::int64_t /*batch*/) override {
    at::Generator generator = step_generator(options_.seed, step);
    const at::Tensor x = draw(step, generator);
    const auto moments = vae_.encode_moments(x).chunk(2, 1);
    const at::Tensor log_variance = moments[1].clamp(-30, 20);
    const at::Tensor noise = at::empty_like(moments[0]).normal_(0, 1, generator);
    const at::Tensor y = vae_.decode(moments[0] + at::exp(0.5 * log_variance) * noise);
    const at::Tensor kl =
        0.5 * (moments[0].square() + log_variance.exp() - 1 - log_variance).sum({1, 2, 3}).mean();
    return (x - y).abs().mean() + 2 * (x - y).square().mean() +
           options_.difference_weight * differences(x, y) + options_.kl_weight * kl;
  }

  tensor::StateDict state() const override {
    tensor::StateDict state;
    for (const auto& [name, tensor] : parameters_) state.emplace("w/" + name, tensor);
    return state;
  }
  void load(const tensor::StateDict& state) override {
    for (auto& [name, tensor] : parameters_) tensor.copy_(state.at("w/" + name));
  }
  void finish(std::int64_t /*done*/) override {}  // what was learned stands in the model

 private:
  at::Tensor draw(std::int64_t step, const at::Generator& generator) const {
    const std::int64_t smaller_side = std::min(pictures_.size(2), pictures_.size(3));
    if (step >= options_.steps - options_.full_size_steps)
      return crops(pictures_, std::max<std::int64_t>(1, options_.batch / 4), smaller_side, generator);
    return crops(pictures_, options_.batch, std::min(options_.crop, smaller_side), generator);
  }

  model::Vae& vae_;
  const at::Tensor& pictures_;
  const VaeTrainOptions& options_;
  std::vector<model::NamedParameter> parameters_;
};

}  // namespace

RunResult train_vae(model::Vae& vae, const at::Tensor& pictures, const VaeTrainOptions& options,
                    const std::filesystem::path& state_path, const RunControl& control) {
  RunState state = open_run_state(state_path, {{"lowrank.phase", "vae"},
                                               {"lowrank.seed", std::to_string(options.seed)},
                                               {"the pictures", checksum({{"pictures", pictures}})}});
  VaeObjective objective(vae, pictures, options);
  const auto optimiser = make_optimiser("AdamW", objective.parameters(), {.weight_decay = 0.0});
  return run_training(
      objective, *optimiser,
      {.schedule = {"cosine", options.steps, options.warmup}, .max_gradient_norm = 1.0, .keeps_state = true},
      state, control);
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
