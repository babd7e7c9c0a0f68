#include "model/tiny_autoencoder.h"

#include <ATen/ATen.h>
#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <string>
#include <string_view>
#include <utility>

#include "base/error.h"

namespace lowrank::model {
namespace {

// The largest number of a module, −1 without any.
int last_number(const tensor::StateDict& state) {
  int last = -1;
  for (const auto& [name, value] : state) {
    int number = -1;
    std::from_chars(name.data(), name.data() + name.size(), number);
    last = std::max(last, number);
  }
  return last;
}

[[noreturn]] void refuse(formats::TinyHalf half, int number, std::string_view why) {
  throw Error(kBadInput, "the tiny {}'s module {} {}; the file is incomplete or of another kind.",
              half_name(half), number, why);
}

}  // namespace

TinyChain::TinyChain(const tensor::StateDict& state, formats::TinyHalf half) : half_(half) {
  LayerBuilder build(formats::Component::kVae, state, layers_, policy_);
  const bool is_decoder = half == formats::TinyHalf::kDecoder;
  const int first = is_decoder ? 1 : 0, last = last_number(state);
  const auto has = [&](int number, std::string_view what) {
    return state.contains(fmt::format("{}.{}", number, what));
  };
  const auto doubles = [&](int number) {
    return number > first && has(number, "weight") && !has(number, "bias");
  };
  for (int number = first; number <= last; ++number) {
    // Modules without parameters: a ReLU behind the decoder's first convolution, and what doubles the map.
    const bool may_lack = is_decoder && (number == first + 1 || doubles(number + 1));
    if (has(number, "weight") || has(number, "conv.0.weight")) {
      if (may_lack) refuse(half, number, "should have no parameters");
      add(build, state, number);
    } else if (!may_lack) {
      refuse(half, number, "is missing");
    }
  }
  if (modules_.size() < 2 || modules_.front().conv == nullptr || modules_.back().conv == nullptr ||
      modules_.back().doubles)
    refuse(half, last, "does not end the chain");
  for (const Module& module : modules_)
    if (module.conv != nullptr && (module.doubles || module.conv->geometry().stride == 2)) factor_ *= 2;
  if ((is_decoder ? outputs() : inputs()) != 3)
    refuse(half, is_decoder ? last : first, "has not 3 channels of colour");
}

void TinyChain::add(LayerBuilder& build, const tensor::StateDict& state, int number) {
  const std::string path = std::to_string(number);
  const bool is_block = state.contains(path + ".conv.0.weight");
  const bool resamples = !is_block && !modules_.empty() && !state.contains(path + ".bias");
  const bool is_decoder = half_ == formats::TinyHalf::kDecoder;
  Module module;
  if (is_block) {
    for (std::size_t i = 0; i < module.block.size(); ++i)
      module.block[i] = build.conv(fmt::format("{}.conv.{}", path, 2 * i));
    if (build.has(path + ".skip")) module.skip = build.conv(path + ".skip");
  } else {
    module.conv = build.conv(path, resamples && !is_decoder ? 2 : 1);
    module.doubles = resamples && is_decoder;
  }
  // Each takes what the one before gives.
  const Layer& begin = is_block ? *module.block[0] : *module.conv;
  if (!modules_.empty() && begin.weight().size(1) != outputs())
    refuse(half_, number, fmt::format("takes {} channels where {} come", begin.weight().size(1), outputs()));
  if (is_block) {
    const std::int64_t in = begin.weight().size(1), wide = begin.weight().size(0);
    const std::int64_t out = module.block[2]->weight().size(0);
    const std::int64_t skipped = module.skip == nullptr ? in : module.skip->weight().size(0);
    if (module.block[1]->weight().size(1) != wide ||
        module.block[2]->weight().size(1) != module.block[1]->weight().size(0) || skipped != out ||
        (module.skip != nullptr && module.skip->weight().size(1) != in))
      refuse(half_, number, "mixes widths");
  }
  for (const Layer* layer : {module.block[0], module.block[1], module.block[2], module.conv})
    if (layer != nullptr && (layer->weight().size(2) != 3 || layer->weight().size(3) != 3))
      refuse(half_, number, "is no 3×3 convolution");
  modules_.push_back(module);
}

std::int64_t TinyChain::inputs() const {
  return modules_.front().conv->weight().size(1);
}

std::int64_t TinyChain::outputs() const {
  const Module& last = modules_.back();
  return (last.conv != nullptr ? last.conv : last.block[2])->weight().size(0);
}

at::Tensor TinyChain::run(at::Tensor x) const {
  const bool is_decoder = half_ == formats::TinyHalf::kDecoder;
  for (std::size_t i = 0; i < modules_.size(); ++i) {
    const Module& m = modules_[i];
    if (m.conv == nullptr) {
      const at::Tensor h = (*m.block[1])((*m.block[0])(x).relu_()).relu_();
      if (m.skip != nullptr) x = (*m.skip)(x);
      x = (*m.block[2])(h, {.residual = std::move(x), .into_residual = true}).relu_();
      continue;
    }
    ops::Fused fused;
    if (m.doubles) fused.upsample_to = std::pair(2 * x.size(2), 2 * x.size(3));
    x = (*m.conv)(x, fused);
    if (is_decoder && i == 0) x.relu_();
  }
  return x.to(at::kFloat).contiguous();
}

TinyDecoder::TinyDecoder(const tensor::StateDict& state) : chain(state, formats::TinyHalf::kDecoder) {}

// The chain works on pictures in 0…1, and on latents squeezed into −3…3.
at::Tensor TinyDecoder::decode(const at::Tensor& latent) const {
  return chain.run(at::tanh(latent.to(at::kFloat) / 3) * 3) * 2 - 1;
}

TinyEncoder::TinyEncoder(const tensor::StateDict& state) : chain(state, formats::TinyHalf::kEncoder) {}

at::Tensor TinyEncoder::encode(const at::Tensor& picture) const {
  return chain.run((picture.to(at::kFloat) + 1) / 2);
}

}  // namespace lowrank::model
