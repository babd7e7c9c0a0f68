#include "adapter/trainable.h"

#include <ATen/ATen.h>
#include <ATen/CPUGeneratorImpl.h>
#include <ATen/core/grad_mode.h>

#include <algorithm>
#include <cmath>
#include <optional>
#include <string_view>
#include <utility>

#include "base/error.h"
#include "base/text/text.h"
#include "formats/lora/kohya_names.h"

namespace lowrank::adapter {
namespace {

using formats::Component;
using model::LayerKind;

bool ends_residual_or_sampler_layer(std::string_view path) {
  for (const std::string_view end :
       {".in_layers.2", ".out_layers.3", ".emb_layers.1", ".skip_connection", ".op", ".conv"})
    if (path.ends_with(end)) return true;
  return false;
}

// "encoder.layers.11.mlp.fc1" → 11; nullopt: it lies in no such layer.
std::optional<std::int64_t> text_layer(std::string_view path) {
  constexpr std::string_view kRoot = "encoder.layers.";
  if (!path.starts_with(kRoot)) return std::nullopt;
  path.remove_prefix(kRoot.size());
  return parse_integer(path.substr(0, path.find('.')));
}

// How many layers of a text encoder are run; a U-Net has none of these.
std::int64_t text_layers_run(const model::LayerMap& layers, std::int64_t unread) {
  std::int64_t depth = 0;
  for (const auto& [path, layer] : layers) depth = std::max(depth, text_layer(path).value_or(-1) + 1);
  return depth - unread;
}

// Rank 1×1 convolutions and linear layers share; k×k convolutions have their own.
bool is_wide_kernel(const model::Layer& layer) {
  return layer.kind() == LayerKind::kConv2d && (layer.weight().size(2) != 1 || layer.weight().size(3) != 1);
}

}  // namespace

bool is_lora_target(const model::Layer& layer, Convolutions convolutions) {
  if (layer.kind() != LayerKind::kLinear && layer.kind() != LayerKind::kConv2d) return false;
  const std::string_view path = layer.address().path;
  switch (layer.address().component) {
    case Component::kTextEncoder:
    case Component::kTextEncoder2:
      return path.find(".self_attn.") != path.npos || path.find(".mlp.") != path.npos;
    case Component::kUnet:
      if (path.ends_with(".proj_in") || path.ends_with(".proj_out")) return true;
      if (path.find(".transformer_blocks.") != path.npos) return true;
      return convolutions == Convolutions::kYes && ends_residual_or_sampler_layer(path);
    case Component::kVae:
      return false;
  }
  return false;
}

std::map<std::string, std::string, std::less<>> kohya_names(const formats::FamilyRow& family,
                                                            Component component,
                                                            const model::LayerMap& layers) {
  std::vector<std::string> paths;
  for (const auto& [path, layer] : layers) paths.push_back(path);
  return formats::kohya_names(family, component, paths);
}

struct TrainableLora::Pair : model::LayerPatch {
  std::string name;
  model::Layer* layer = nullptr;
  at::Tensor down, up;
  double alpha = 1, scale = 1;
  std::shared_ptr<const double> weight;

  at::Tensor add_to(at::Tensor y, const at::Tensor& x) const override {
    if (*weight == 0) return y;
    const at::ScalarType compute = layer->policy().compute;
    const at::Tensor xs = x.to(compute), d = down.to(compute), u = up.to(compute);
    const auto& geometry = layer->geometry();
    const at::Tensor delta = layer->kind() == LayerKind::kConv2d
                                 ? at::conv2d(at::conv2d(xs, d, {}, geometry.stride, geometry.padding), u)
                                 : at::linear(at::linear(xs, d), u);
    return y + delta * (scale * *weight);
  }
};

TrainableLora::TrainableLora(const formats::FamilyRow& family, std::span<const ModelPart> parts,
                             const TrainableOptions& options) {
  const bool convolutions = options.conv_rank > 0;
  if (options.rank < 1 || options.conv_rank < 0)
    throw Error(kBadInput, "a LoRA needs a rank of at least 1; got {} (convolutions: {}).", options.rank,
                options.conv_rank);
  if (!(options.alpha > 0) || (convolutions && !(options.conv_alpha > 0)))
    throw Error(kBadInput, "a LoRA's alpha must be above 0; got {} (convolutions: {}).", options.alpha,
                options.conv_alpha);
  const at::Generator generator = at::make_generator<at::CPUGeneratorImpl>(options.seed);
  for (const ModelPart& part : parts) hang(family, part, options, generator);
  if (pairs_.empty())
    throw Error(kBadInput, "the LoRA would change no layer; train the U-Net, the text encoder or both.");
}

void TrainableLora::hang(const formats::FamilyRow& family, const ModelPart& part,
                         const TrainableOptions& options, const at::Generator& generator) {
  const auto names = kohya_names(family, part.component, *part.layers);
  const auto convolutions = options.conv_rank > 0 ? Convolutions::kYes : Convolutions::kNo;
  const std::int64_t text_layers = text_layers_run(*part.layers, options.unread_text_layers);
  for (auto& [path, layer] : *part.layers) {
    if (!is_lora_target(*layer, convolutions)) continue;
    if (const auto number = text_layer(path); number && *number >= text_layers) continue;
    const bool wide = is_wide_kernel(*layer);
    const std::int64_t rank = wide ? options.conv_rank : options.rank;
    auto pair = std::make_shared<Pair>();
    pair->name = names.at(path);
    pair->layer = layer.get();
    pair->alpha = wide ? options.conv_alpha : options.alpha;
    pair->scale = pair->alpha / static_cast<double>(rank);
    pair->weight = weight_;
    const at::Tensor& base = layer->weight();
    std::vector<std::int64_t> down = base.sizes().vec(), up = base.sizes().vec();
    const std::int64_t fan_in = base.numel() / base.size(0);
    down[0] = rank;
    up[1] = rank;
    for (std::size_t i = 2; i < up.size(); ++i) up[i] = 1;
    const double bound = 1.0 / std::sqrt(static_cast<double>(fan_in));
    pair->down = at::empty(down, at::kFloat).uniform_(-bound, bound, generator).requires_grad_(true);
    pair->up = at::zeros(up, at::kFloat).requires_grad_(true);
    parameters_.push_back({pair->name + ".lora_down.weight", pair->down, part.component});
    parameters_.push_back({pair->name + ".lora_up.weight", pair->up, part.component});
    model::Layer::Slot slot = layer->slot();
    slot.patches.push_back(pair);
    layer->set_slot(std::move(slot));
    pairs_.push_back(std::move(pair));
  }
}

TrainableLora::~TrainableLora() {
  for (const auto& pair : pairs_) {
    model::Layer::Slot slot = pair->layer->slot();
    std::erase_if(slot.patches, [&](const auto& patch) { return patch.get() == pair.get(); });
    pair->layer->set_slot(std::move(slot));
  }
}

tensor::StateDict TrainableLora::state() const {
  tensor::StateDict state;
  for (const auto& pair : pairs_) {
    state.emplace(pair->name + ".lora_down.weight", pair->down.detach());
    state.emplace(pair->name + ".lora_up.weight", pair->up.detach());
    state.emplace(pair->name + ".alpha", at::scalar_tensor(pair->alpha, at::kFloat));
  }
  return state;
}

void TrainableLora::load(const tensor::StateDict& state) {
  const at::NoGradGuard no_grad;
  for (const auto& parameter : parameters_) {
    const auto found = state.find(parameter.name);
    if (found == state.end())
      throw Error(kBadInput, "'{}' is missing from the saved LoRA; it was trained on different layers.",
                  parameter.name);
    if (found->second.sizes() != parameter.tensor.sizes()) {
      throw Error(
          kBadInput,
          "'{}' in the saved LoRA has {} elements, but {} are needed; it was trained with a different rank.",
          parameter.name, found->second.numel(), parameter.tensor.numel());
    }
    at::Tensor target = parameter.tensor;
    target.copy_(found->second);
  }
}

}  // namespace lowrank::adapter
