#include "model/ops/ops.h"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <ATen/core/grad_mode.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include "base/error.h"
#include "model/ops/gradient_ops.h"
#include "model/ops/kernel_ops.h"
#include "model/ops/strip_ops.h"

namespace lowrank::model::ops {
namespace {

at::Tensor in_type(const at::Tensor& t, at::ScalarType type) {
  return !t.defined() || t.scalar_type() == type ? t : t.to(type);
}

// ── the choice ──────────────────────────────────────────────────────────────────────────────────────────

bool is_plain(const at::Tensor& x) {
  return x.device().is_cpu() && !at::GradMode::is_enabled() && !x.is_inference() && x.numel() > 0;
}

// Who forms products of that type; null: no kernel here. In 8 bits only the weights that are held so are multiplied,
// anything else in bfloat16 or, where there is none, in float32.
const kernels::BlockKernel* products_in(at::ScalarType compute, bool in_int8 = false) {
  const kernels::BlockKernel* kernel = nullptr;
  if (compute == at::kChar && in_int8) kernel = kernels::block_kernel(kernels::Precision::kInt8);
  if (kernel == nullptr && (compute == at::kBFloat16 || compute == at::kChar))
    kernel = kernels::block_kernel(kernels::Precision::kBfloat16);
  if (kernel == nullptr && (compute == at::kFloat || compute == at::kChar))
    kernel = kernels::block_kernel(kernels::Precision::kFloat32);
  return kernel;
}

// Who forms the products of this layer without gradients; null: libtorch does.
const kernels::BlockKernel* kernel_for(const at::Tensor& x, const Weight& w,
                                       std::span<const LowRank* const> low_rank, at::ScalarType compute) {
  const auto fixed = [](const LowRank* part) { return is_fixed(part->down) && is_fixed(part->up); };
  return is_plain(x) && is_fixed(w) && std::ranges::all_of(low_rank, fixed)
             ? products_in(compute, w.is_held_in_int8())
             : nullptr;
}

// The filter of a convolution, packed.
kernel_ops::Filter filter_of(const Weight& w) {
  return {w.packed(false), w.tensor.size(2), w.tensor.size(3)};
}

// The same for a layer that others learn through: its own numbers stay.
const kernels::BlockKernel* gradient_kernel_for(const at::Tensor& x, const Weight& w, const at::Tensor& b,
                                                std::span<const LowRank* const> low_rank,
                                                at::ScalarType compute) {
  const bool can = at::GradMode::is_enabled() && x.device().is_cpu() && x.numel() > 0 && is_fixed(w) &&
                   low_rank.empty() && !(b.defined() && b.requires_grad());
  return can ? products_in(compute) : nullptr;
}

// ── libtorch's side ─────────────────────────────────────────────────────────────────────────────────────

at::ScalarType libtorch_type(at::ScalarType compute) {
  return compute == at::kChar ? at::kFloat : compute;
}

at::Tensor slow_conv2d(const at::Tensor& x, const Weight& w, const at::Tensor& b,
                       const ConvGeometry& geometry, at::ScalarType compute) {
  const at::Tensor in = geometry.far_side_only ? at::constant_pad_nd(x, {0, 1, 0, 1}) : x;
  const at::ScalarType type = libtorch_type(compute);
  return at::conv2d(in_type(in, type), in_type(w.numbers(), type), in_type(b, type), geometry.stride,
                    geometry.near());
}

at::Tensor slow_attention(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v, std::int64_t heads,
                          Mask mask) {
  const std::int64_t batch = q.size(0), queries = q.size(1), keys = k.size(1), width = q.size(2);
  const std::int64_t head = width / heads;
  const auto split = [&](const at::Tensor& t) {
    return t.reshape({batch, t.size(1), heads, head})
        .permute({0, 2, 1, 3})
        .reshape({batch * heads, t.size(1), head});
  };
  const at::Tensor qs = split(q * (1.0 / std::sqrt(static_cast<double>(head)))), vs = split(v);
  const at::Tensor kt = split(k).transpose(1, 2);
  at::Tensor bias;
  if (mask == Mask::kCausal) {
    bias = at::full({queries, keys}, -std::numeric_limits<float>::infinity(), qs.options().dtype(at::kFloat))
               .triu(1);
  }
  const auto strip = [&](std::int64_t from, std::int64_t count) {
    at::Tensor scores = at::bmm(qs.narrow(1, from, count), kt);
    if (bias.defined()) scores = scores + bias.narrow(0, from, count).to(scores.scalar_type());
    const at::Tensor weights = at::softmax(scores, -1, at::kFloat);
    return at::bmm(in_type(weights, vs.scalar_type()), vs);
  };
  constexpr std::int64_t kStripElements = 16 << 20;
  const std::int64_t rows =
      std::clamp<std::int64_t>(kStripElements / std::max<std::int64_t>(1, batch * heads * keys), 64, queries);
  at::Tensor out;
  if (rows >= queries || at::GradMode::is_enabled()) {
    out = strip(0, queries);
  } else {
    std::vector<at::Tensor> strips;
    for (std::int64_t from = 0; from < queries; from += rows)
      strips.push_back(strip(from, std::min(rows, queries - from)));
    out = at::cat(strips, 1);
  }
  return out.reshape({batch, heads, queries, head}).permute({0, 2, 1, 3}).reshape({batch, queries, width});
}

}  // namespace

bool multiplies_int8() {
  return kernels::block_kernel(kernels::Precision::kInt8) != nullptr;
}

bool multiplies_bfloat16() {
  return kernels::block_kernel(kernels::Precision::kBfloat16) != nullptr;
}

void prepare(const Weight& weight, bool gated) {
  if (is_fixed(weight)) weight.packed(gated);
}

at::Tensor finish(at::Tensor y, const Fused& fused) {
  if (fused.per_image.defined()) {
    std::vector<std::int64_t> sizes(static_cast<std::size_t>(y.dim()), 1);
    sizes.front() = fused.per_image.size(0);
    sizes[y.dim() == 4 ? 1 : sizes.size() - 1] = fused.per_image.size(1);
    y = y + fused.per_image.reshape(sizes);
  }
  switch (fused.activation) {
    case Activation::kNone:
      break;
    case Activation::kSilu:
      y = at::silu(y);
      break;
    case Activation::kGelu:
      y = at::gelu(y);
      break;
    case Activation::kQuickGelu:  // as OpenAI's CLIP
      y = y * at::sigmoid(y * 1.702);
      break;
    case Activation::kGeglu: {
      const auto halves = y.chunk(2, -1);
      y = halves[0] * at::gelu(halves[1]);
      break;
    }
  }
  return fused.residual.defined() ? fused.residual + y : y;
}

at::Tensor upsample(const at::Tensor& x, const Fused& fused) {
  if (!fused.upsample_to) return x;
  return at::upsample_nearest2d(x, at::IntArrayRef({fused.upsample_to->first, fused.upsample_to->second}));
}

at::Tensor linear(const at::Tensor& x, const Weight& w, const at::Tensor& b,
                  std::span<const LowRank* const> low_rank, const Fused& fused, at::ScalarType compute) {
  if (const auto* kernel = kernel_for(x, w, low_rank, compute)) {
    return kernel_ops::linear(x, w.packed(fused.activation == Activation::kGeglu), b, low_rank, fused,
                              *kernel);
  }
  if (const auto* kernel = gradient_kernel_for(x, w, b, low_rank, compute))
    return finish(gradient_ops::linear(x, w, b, *kernel), fused);
  const at::ScalarType type = libtorch_type(compute);
  const at::Tensor in = in_type(x, type);
  at::Tensor y = at::linear(in, in_type(w.numbers(), type), in_type(b, type));
  for (const LowRank* part : low_rank)
    y = y + at::linear(at::linear(in, in_type(part->down.tensor, type)), in_type(part->up.tensor, type));
  return finish(y, fused);
}

at::Tensor conv2d(const at::Tensor& x, const Weight& w, const at::Tensor& b,
                  std::span<const LowRank* const> low_rank, const ConvGeometry& geometry, const Fused& fused,
                  at::ScalarType compute) {
  if (const auto* kernel = kernel_for(x, w, low_rank, compute))
    return kernel_ops::conv2d(x, filter_of(w), b, low_rank, geometry, fused, *kernel);
  const at::Tensor in = upsample(x, fused);
  if (const auto* kernel = gradient_kernel_for(x, w, b, low_rank, compute))
    return finish(gradient_ops::conv2d(in, w, b, geometry, *kernel), fused);
  at::Tensor y = slow_conv2d(in, w, b, geometry, compute);
  for (const LowRank* part : low_rank)
    y = y + slow_conv2d(slow_conv2d(in, part->down, {}, geometry, compute), part->up, {}, {}, compute);
  return finish(y, fused);
}

at::Tensor conv2d_in_place(at::Tensor x, const Weight& w, const at::Tensor& b, at::ScalarType compute) {
  const bool is_ours = x.use_count() == 1 && x.storage().use_count() == 1 && x.storage_offset() == 0 &&
                       x.scalar_type() == at::kFloat && x.is_contiguous(at::MemoryFormat::ChannelsLast);
  const bool fits = w.tensor.size(2) * w.tensor.size(3) == 1 && w.tensor.size(0) <= w.tensor.size(1);
  const auto* kernel = is_ours && fits ? kernel_for(x, w, {}, compute) : nullptr;
  if (kernel != nullptr) return kernel_ops::conv2d_in_place(x, w.packed(false), b, *kernel);
  return conv2d(x, w, b, {}, {}, {}, compute);
}

at::Tensor group_norm(const at::Tensor& x, std::int64_t groups, const at::Tensor& w, const at::Tensor& b,
                      double eps, Activation activation) {
  LOWRANK_CHECK(activation == Activation::kNone || activation == Activation::kSilu);
  if (is_plain(x) && x.dim() == 4) return kernel_ops::group_norm(x, groups, w, b, eps, activation);
  const at::Tensor y =
      at::group_norm(in_type(x, at::kFloat), groups, in_type(w, at::kFloat), in_type(b, at::kFloat), eps);
  return activation == Activation::kSilu ? at::silu(y) : y;
}

// Maps above this are normalised strip by strip.
constexpr std::int64_t kLargeMapBytes = 48 << 20;

at::Tensor conv2d_of_norm(const at::Tensor& x, const GroupNorm& norm, const Weight& w, const at::Tensor& b,
                          const ConvGeometry& geometry, const Fused& fused, at::ScalarType compute) {
  const bool is_large = x.numel() * 4 / std::max<std::int64_t>(1, x.size(0)) > kLargeMapBytes;
  const bool fits = is_large && geometry.stride == 1 && !geometry.far_side_only && !fused.upsample_to;
  if (const auto* kernel = fits ? kernel_for(x, w, {}, compute) : nullptr)
    return kernel_ops::conv2d_of_norm(x, norm, filter_of(w), b, geometry, fused, *kernel);
  const at::Tensor h = group_norm(x, norm.groups, norm.scale, norm.shift, norm.eps, Activation::kSilu);
  return conv2d(h, w, b, {}, geometry, fused, compute);
}

namespace {

strip_ops::Conv strip_conv(const Conv& conv) {
  return {filter_of(*conv.weight), conv.bias};
}
strip_ops::ResBlock strip_block(const ResBlock& block) {
  strip_ops::ResBlock all{block.norm1, strip_conv(block.conv1), block.norm2, strip_conv(block.conv2), {}};
  if (block.shortcut.weight != nullptr) all.shortcut.emplace(strip_conv(block.shortcut));
  return all;
}

}  // namespace

bool wants_strips(const at::Tensor& x, const Conv* up, const ResBlock& block, at::ScalarType compute) {
  constexpr double kMostBytes = 1e9,
                   kShortestRow = 256 << 10;  // a group norm sums rows of that size one by one
  const auto usable = [&](const Conv& conv) {
    return conv.weight == nullptr ||
           (compute == at::kFloat && kernel_for(x, *conv.weight, {}, compute) != nullptr);
  };
  if (!usable(block.conv1) || !usable(block.conv2) || !usable(block.shortcut) ||
      (up != nullptr && !usable(*up)))
    return false;
  const double seen = up == nullptr ? 1 : 2,
               place = static_cast<double>(x.size(0) * x.size(2) * x.size(3)) * 4;
  const auto bytes = [&](const Conv& conv) {
    return place * seen * seen * static_cast<double>(conv.weight->tensor.size(0));
  };
  const double least_channels = static_cast<double>(std::min(block.conv1.weight->tensor.size(0), x.size(1)));
  if (seen * static_cast<double>(x.size(3)) * 4 * least_channels < kShortestRow) return false;
  const double input = place * static_cast<double>(x.size(1));
  return (up != nullptr || block.shortcut.weight == nullptr) &&
         input + bytes(up == nullptr ? block.conv1 : *up) > kMostBytes;
}

at::Tensor res_block_in_strips(at::Tensor x, const ResBlock& block) {
  x = x.to(at::kFloat).contiguous(at::MemoryFormat::ChannelsLast);
  return strip_ops::res_block(std::move(x), strip_block(block));
}

at::Tensor res_block_of_doubled_in_strips(const at::Tensor& x, const Conv& up, const ResBlock& block) {
  return strip_ops::res_block_of_doubled(x, strip_conv(up), strip_block(block));
}

at::Tensor layer_norm(const at::Tensor& x, const at::Tensor& w, const at::Tensor& b, double eps) {
  if (is_plain(x)) return kernel_ops::layer_norm(x, w, b, eps);
  return at::layer_norm(in_type(x, at::kFloat), {x.size(-1)}, in_type(w, at::kFloat), in_type(b, at::kFloat),
                        eps);
}

at::Tensor silu(const at::Tensor& x) {
  return at::silu(x);
}

at::Tensor attention(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v, std::int64_t heads,
                     Mask mask, at::ScalarType compute) {
  const bool is_float =
      q.scalar_type() == at::kFloat && k.scalar_type() == at::kFloat && v.scalar_type() == at::kFloat;
  const auto* kernel = is_float && k.numel() > 0 ? products_in(compute) : nullptr;
  if (kernel == nullptr) return slow_attention(q, k, v, heads, mask);
  if (is_plain(q)) return kernel_ops::attention(q, k, v, heads, mask, *kernel);
  if (at::GradMode::is_enabled() && q.device().is_cpu() && q.numel() > 0)
    return gradient_ops::attention(q, k, v, heads, mask, *kernel);
  return slow_attention(q, k, v, heads, mask);
}

}  // namespace lowrank::model::ops
