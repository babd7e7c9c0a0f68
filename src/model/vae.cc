#include "model/vae.h"

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>

#include <algorithm>
#include <optional>
#include <string>
#include <utility>

#include "base/error.h"
#include "model/ops/ops.h"
#include "tensor/arena.h"

namespace lowrank::model {
namespace {

constexpr double kEps = 1e-6;
constexpr std::int64_t kLargeMap = 64 << 20;  // bytes; where memory matters more than a copy

Vae::ResBlock res_block(LayerBuilder& build, const std::string& p) {
  return {build.group_norm(p + "norm1", kEps), build.conv(p + "conv1"), build.group_norm(p + "norm2", kEps),
          build.conv(p + "conv2"), build.has(p + "nin_shortcut") ? build.conv(p + "nin_shortcut") : nullptr};
}

Vae::Attention attention(LayerBuilder& build, const std::string& p) {
  return {build.group_norm(p + "norm", kEps), build.conv_or_linear(p + "q"), build.conv_or_linear(p + "k"),
          build.conv_or_linear(p + "v"), build.conv_or_linear(p + "proj_out")};
}

Vae::Half half(LayerBuilder& build, const std::string& p, bool down) {
  Vae::Half half{};
  half.conv_in = build.conv(p + "conv_in");
  const std::string side = p + (down ? "down." : "up.");
  const std::int64_t levels = build.count(side);
  for (std::int64_t i = 0; i < levels; ++i) {
    const std::string at = side + std::to_string(i) + ".";
    Vae::Level level{};
    const std::int64_t blocks = build.count(at + "block.");
    for (std::int64_t j = 0; j < blocks; ++j)
      level.blocks.push_back(res_block(build, at + "block." + std::to_string(j) + "."));
    const std::int64_t attentions = build.count(at + "attn.");
    for (std::int64_t j = 0; j < attentions; ++j)
      level.attentions.push_back(attention(build, at + "attn." + std::to_string(j) + "."));
    const std::string resample = at + (down ? "downsample.conv" : "upsample.conv");
    if (build.has(resample)) level.resample = down ? build.halving_conv(resample) : build.conv(resample);
    half.levels.push_back(std::move(level));
  }
  // The decoder numbers its levels from the picture inwards, data pass them from the latent outwards.
  if (!down) std::reverse(half.levels.begin(), half.levels.end());
  half.mid1 = res_block(build, p + "mid.block_1.");
  half.mid_attention = attention(build, p + "mid.attn_1.");
  half.mid2 = res_block(build, p + "mid.block_2.");
  half.norm_out = build.group_norm(p + "norm_out", kEps);
  half.conv_out = build.conv(p + "conv_out");
  return half;
}

// Nothing where a layer is not as it was stored.
std::optional<ops::ResBlock> plain_block(const Vae::ResBlock& b) {
  if (!b.norm1->is_base() || !b.conv1->is_base() || !b.norm2->is_base() || !b.conv2->is_base() ||
      (b.shortcut != nullptr && !b.shortcut->is_base()))
    return {};
  return ops::ResBlock{b.norm1->base_norm(), b.conv1->base_conv(), b.norm2->base_norm(), b.conv2->base_conv(),
                       b.shortcut == nullptr ? ops::Conv{} : b.shortcut->base_conv()};
}

// x is given up as soon as it can be: the largest maps of a decoder are most of its memory.
at::Tensor run(const Vae::ResBlock& b, at::Tensor x) {
  if (const auto plain = plain_block(b);
      plain && ops::wants_strips(x, nullptr, *plain, b.conv1->policy().compute))
    return ops::res_block_in_strips(std::move(x), *plain);
  const at::Tensor h = b.conv1->of_norm(*b.norm1, x);
  if (b.shortcut != nullptr) x = b.shortcut->over(std::move(x));
  return b.conv2->of_norm(*b.norm2, h, {.residual = std::move(x), .into_residual = true});
}

// Single-head self-attention over all places.
at::Tensor run(const Vae::Attention& a, const at::Tensor& x) {
  const at::Tensor h = (*a.norm)(x);
  const auto rows = [](const at::Tensor& t) { return t.flatten(2).transpose(1, 2); };
  const bool linear = a.q->kind() == LayerKind::kLinear;
  const auto project = [&](const Layer& layer) { return linear ? layer(rows(h)) : rows(layer(h)); };
  const at::Tensor attended =
      ops::attention(project(*a.q), project(*a.k), project(*a.v), 1, ops::Mask::kNone, a.q->policy().compute);
  const auto map = [&](const at::Tensor& t) { return t.transpose(1, 2).reshape_as(x); };
  return x + (linear ? map((*a.out)(attended)) : (*a.out)(map(attended)));
}

at::Tensor run_mid(const Vae::Half& half, at::Tensor x) {
  return run(half.mid2, run(half.mid_attention, run(half.mid1, std::move(x))));
}

// From block `first` on.
at::Tensor run_level(const Vae::Level& level, at::Tensor x, std::size_t first = 0) {
  for (std::size_t j = first; j < level.blocks.size(); ++j) {
    x = run(level.blocks[j], std::move(x));
    if (j < level.attentions.size()) x = run(level.attentions[j], x);
  }
  return x;
}

// The enlarged x, or in `blocks_run` the number of the next level's blocks that ran with it, where the enlarged map
// would be too large to be whole.
at::Tensor enlarge(const Layer& up, const Vae::Level& next, at::Tensor x, std::size_t& blocks_run) {
  blocks_run = 0;
  const auto plain = next.blocks.empty() ? std::nullopt : plain_block(next.blocks.front());
  const ops::Conv conv = up.base_conv();
  if (plain && up.is_base() && next.attentions.empty() &&
      ops::wants_strips(x, &conv, *plain, up.policy().compute)) {
    blocks_run = 1;
    // Layer::over left x in the memory of a larger map, which is needed now.
    if (x.storage().nbytes() > static_cast<std::size_t>(x.numel()) * x.element_size()) x = x.clone();
    return ops::res_block_of_doubled_in_strips(x, conv, *plain);
  }
  const std::int64_t bytes = 4 * x.size(0) * 4 * x.size(2) * x.size(3) * up.weight().size(0);
  if (!at::GradMode::is_enabled() && bytes > kLargeMap) {
    const tensor::RoomBelow room(bytes, x.storage().data());
    x = x.clone();
  }
  return up(x, {.upsample_to = std::pair(x.size(2) * 2, x.size(3) * 2)});
}

}  // namespace

Vae::Vae(const tensor::StateDict& state) {
  LayerBuilder build(formats::Component::kVae, state, layers_, policy_);
  encoder_ = half(build, "encoder.", true);
  decoder_ = half(build, "decoder.", false);
  quant_ = build.conv("quant_conv");
  post_quant_ = build.conv("post_quant_conv");
  latent_channels_ = post_quant_->weight().size(1);
  downscale_ = 1;
  for (const Level& level : decoder_.levels)
    if (level.resample != nullptr) downscale_ *= 2;
}

at::Tensor Vae::decode(const at::Tensor& latent) const {
  at::Tensor x = (*decoder_.conv_in)((*post_quant_)(latent.to(at::kFloat)));
  x = run_mid(decoder_, std::move(x));
  std::size_t blocks_run = 0;
  for (std::size_t i = 0; i < decoder_.levels.size(); ++i) {
    const Level& level = decoder_.levels[i];
    x = run_level(level, std::move(x), blocks_run);
    if (level.resample != nullptr)
      x = enlarge(*level.resample, decoder_.levels.at(i + 1), std::move(x), blocks_run);
  }
  return decoder_.conv_out->of_norm(*decoder_.norm_out, x).to(at::kFloat).contiguous();
}

at::Tensor Vae::encode_moments(const at::Tensor& picture) const {
  at::Tensor x = (*encoder_.conv_in)(picture.to(at::kFloat));
  for (const Level& level : encoder_.levels) {
    x = run_level(level, std::move(x));
    // The reference pads one row and column at the far end only, then convolves without padding.
    if (level.resample != nullptr) x = (*level.resample)(x);
  }
  x = run_mid(encoder_, std::move(x));
  x = encoder_.conv_out->of_norm(*encoder_.norm_out, x);
  return (*quant_)(x).to(at::kFloat).contiguous();
}

}  // namespace lowrank::model
