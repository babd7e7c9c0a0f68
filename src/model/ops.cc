#include "model/ops.h"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <ATen/core/grad_mode.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include "base/error.h"
#include "kernels/attention.h"
#include "kernels/norm.h"
#include "kernels/product.h"
#include "kernels/winograd.h"

namespace lowrank::model::ops {
namespace {

at::Tensor in_type(const at::Tensor& t, at::ScalarType type) {
  return !t.defined() || t.scalar_type() == type ? t : t.to(type);
}

// ── the choice ──────────────────────────────────────────────────────────────────────────────────────────

bool is_plain(const at::Tensor& x) {
  return x.device().is_cpu() && !at::GradMode::is_enabled() && !x.is_inference() && x.numel() > 0;
}

std::optional<kernels::Number> number_of(const at::Tensor& w) {
  switch (w.scalar_type()) {
    case at::kFloat:
      return kernels::Number::kFloat32;
    case at::kHalf:
      return kernels::Number::kFloat16;
    case at::kBFloat16:
      return kernels::Number::kBfloat16;
    default:
      return std::nullopt;
  }
}

// Weights that are being trained are written behind our back, by the optimiser: packing them would pay for
// one use.
bool is_fixed(const Weight& w) {
  return w.tensor.device().is_cpu() && !w.tensor.requires_grad() && w.tensor.is_contiguous() &&
         number_of(w.tensor);
}

bool use_kernels(const at::Tensor& x, const Weight& w, std::span<const LowRank* const> low_rank,
                 at::ScalarType compute) {
  if (!is_plain(x) || compute != at::kFloat || !is_fixed(w)) return false;
  return std::ranges::all_of(low_rank,
                             [](const LowRank* part) { return is_fixed(part->down) && is_fixed(part->up); });
}

// ── the kernels' side ───────────────────────────────────────────────────────────────────────────────────

constexpr auto kChannelsLast = at::MemoryFormat::ChannelsLast;

at::Tensor as_map(const at::Tensor& x) {
  return in_type(x, at::kFloat).contiguous(kChannelsLast);
}
at::Tensor as_rows(const at::Tensor& x) {
  return in_type(x, at::kFloat).contiguous();
}
at::Tensor empty_map(at::IntArrayRef sizes) {
  return at::empty(sizes, at::TensorOptions(at::kFloat), kChannelsLast);
}

// The epilogue's pointers and the tensors that own them.
class Finishing {
 public:
  Finishing(const at::Tensor& bias, const Fused& fused, std::int64_t rows_per_image, std::int64_t columns) {
    if (bias.defined()) {
      bias_ = as_rows(bias);
      epilogue_.bias = bias_.data_ptr<float>();
    }
    if (fused.per_image.defined()) {
      per_image_ = as_rows(fused.per_image);
      epilogue_.group_bias = per_image_.data_ptr<float>();
      epilogue_.rows_per_group = rows_per_image;
    }
    if (fused.residual.defined()) {
      residual_ = fused.residual.dim() == 4 ? as_map(fused.residual) : as_rows(fused.residual);
      epilogue_.residual = residual_.data_ptr<float>();
      epilogue_.residual_stride = columns;
    }
    switch (fused.activation) {
      case Activation::kNone:
        break;
      case Activation::kSilu:
        epilogue_.activation = kernels::Activation::kSilu;
        break;
      case Activation::kGelu:
        epilogue_.activation = kernels::Activation::kGelu;
        break;
      case Activation::kQuickGelu:
        epilogue_.activation = kernels::Activation::kQuickGelu;
        break;
      case Activation::kGeglu:
        epilogue_.activation = kernels::Activation::kGated;
        break;
    }
  }
  const kernels::Epilogue& epilogue() const { return epilogue_; }

 private:
  at::Tensor bias_, per_image_, residual_;
  kernels::Epilogue epilogue_;
};

// Terms of a product: the layer's own, if wanted, and up · (down · x) for each low-rank part. Computes the
// inner ones.
class Terms {
 public:
  Terms(const kernels::LeftFactor& left, std::int64_t rows, std::span<const LowRank* const> low_rank,
        bool gated) {
    factors_.reserve(low_rank.size());
    for (const LowRank* part : low_rank) {
      const kernels::PackedWeights& down = part->down.packed(false);
      const std::int64_t rank = down.shape().outputs;
      inner_.push_back(at::empty({rows, rank}, at::TensorOptions(at::kFloat)));
      float* const result = inner_.back().data_ptr<float>();
      const kernels::Term term{&left, &down};
      kernels::product({&term, 1}, rows, result, rank, {}, at::get_num_threads());
      factors_.push_back(kernels::LeftFactor::matrix(result, rank, rank));
      terms_.push_back({&factors_.back(), &part->up.packed(gated)});
    }
  }
  void add(const kernels::LeftFactor& left, const kernels::PackedWeights& right) {
    terms_.insert(terms_.begin(), {&left, &right});
  }
  const std::vector<kernels::Term>& all() const { return terms_; }

 private:
  std::vector<at::Tensor> inner_;
  std::vector<kernels::LeftFactor> factors_;
  std::vector<kernels::Term> terms_;
};

at::Tensor fast_linear(const at::Tensor& x, const Weight& w, const at::Tensor& b,
                       std::span<const LowRank* const> low_rank, const Fused& fused) {
  const at::Tensor in = as_rows(x);
  const std::int64_t depth = in.size(-1), rows = in.numel() / depth;
  LOWRANK_CHECK(depth == w.tensor.size(1));
  const std::int64_t columns = w.tensor.size(0) / (fused.activation == Activation::kGeglu ? 2 : 1);
  std::vector<std::int64_t> sizes = in.sizes().vec();
  sizes.back() = columns;
  const at::Tensor y = at::empty(sizes, at::TensorOptions(at::kFloat));
  const Finishing finishing(b, fused, rows / std::max<std::int64_t>(1, in.size(0)), columns);
  const auto left = kernels::LeftFactor::matrix(in.data_ptr<float>(), depth, depth);
  const bool gated = fused.activation == Activation::kGeglu;
  Terms terms(left, rows, low_rank, gated);
  terms.add(left, w.packed(gated));
  kernels::product(terms.all(), rows, y.data_ptr<float>(), columns, finishing.epilogue(),
                   at::get_num_threads());
  return y;
}

// result = epilogue(map ⊛ w + Σ up · (down · map)).
void convolve(const kernels::Map& map, const kernels::Window& window, const Weight& w,
              std::span<const LowRank* const> low_rank, const kernels::Epilogue& epilogue, float* result) {
  const bool is_matrix = map.height == window.out_height && map.width == window.out_width &&
                         window.kernel_height * window.kernel_width == 1;
  const auto left = is_matrix ? kernels::LeftFactor::matrix(map.data, map.channels, map.channels)
                              : kernels::LeftFactor::convolution(map, window);
  const std::int64_t rows = map.batch * window.out_height * window.out_width, outputs = w.tensor.size(0);
  const int threads = at::get_num_threads();
  const kernels::PackedWeights& packed = w.packed(false);
  Terms terms(left, rows, low_rank, false);
  if (kernels::winograd_pays(map, window, packed, kernels::block_kernel())) {
    if (!low_rank.empty()) kernels::product(terms.all(), rows, result, outputs, {}, threads);
    const auto start = low_rank.empty() ? kernels::Start::kZero : kernels::Start::kResult;
    kernels::winograd(map, window, packed, result, start, epilogue, threads);
    return;
  }
  terms.add(left, packed);
  kernels::product(terms.all(), rows, result, outputs, epilogue, threads);
}

kernels::Window window_of(const at::Tensor& x, const Weight& w, const ConvGeometry& geometry,
                          const Fused& fused) {
  const std::int64_t near = geometry.far_side_only ? 0 : geometry.padding;
  const std::int64_t far = geometry.far_side_only ? 1 : geometry.padding;
  const auto [height, width] = fused.upsample_to.value_or(std::pair(x.size(2), x.size(3)));
  return kernels::make_window(w.tensor.size(2), w.tensor.size(3), geometry.stride, {near, far, near, far},
                              x.size(2), x.size(3), height, width);
}

at::Tensor result_map(const at::Tensor& x, const Weight& w, const kernels::Window& window,
                      const Fused& fused) {
  if (fused.into_residual && fused.residual.scalar_type() == at::kFloat &&
      fused.residual.is_contiguous(kChannelsLast))
    return fused.residual;
  return empty_map({x.size(0), w.tensor.size(0), window.out_height, window.out_width});
}

kernels::Map map_of(const at::Tensor& x) {
  return {x.data_ptr<float>(), x.size(0), x.size(2), x.size(3), x.size(1)};
}

at::Tensor fast_conv2d(const at::Tensor& x, const Weight& w, const at::Tensor& b,
                       std::span<const LowRank* const> low_rank, const ConvGeometry& geometry,
                       const Fused& fused) {
  const at::Tensor in = as_map(x);
  LOWRANK_CHECK(in.size(1) == w.tensor.size(1));
  const kernels::Window window = window_of(in, w, geometry, fused);
  // A low-rank part is laid into the result first, where a residual must not lie yet.
  const at::Tensor y = result_map(in, w, window, low_rank.empty() ? fused : Fused{});
  const Finishing finishing(b, fused, window.out_height * window.out_width, w.tensor.size(0));
  convolve(map_of(in), window, w, low_rank, finishing.epilogue(), y.data_ptr<float>());
  return y;
}

// Output rows of a strip: a multiple of the four that Winograd's tiles are high, so that tiles stay where
// they are.
constexpr std::int64_t kStripRows = 32;
constexpr std::int64_t kLargeMapBytes = 48 << 20;

at::Tensor fast_conv2d_of_norm(const at::Tensor& x, const GroupNorm& norm, const Weight& w,
                               const at::Tensor& b, const ConvGeometry& geometry, const Fused& fused) {
  const at::Tensor in = as_map(x), scale = as_rows(norm.scale), shift = as_rows(norm.shift);
  const int threads = at::get_num_threads();
  const kernels::Map map = map_of(in);
  const std::int64_t line = map.width * map.channels, outputs = w.tensor.size(0);
  const kernels::GroupFactors factors(map.data, map.batch, map.height * map.width, map.channels, norm.groups,
                                      {scale.data_ptr<float>(), shift.data_ptr<float>(), norm.eps}, threads);
  const kernels::Window whole = window_of(in, w, geometry, fused);
  const at::Tensor y = result_map(in, w, whole, fused);
  const Finishing finishing(b, fused, whole.out_height * whole.out_width, outputs);
  const at::Tensor strip =
      at::empty({kStripRows + whole.kernel_height - 1, line}, at::TensorOptions(at::kFloat));
  for (std::int64_t image = 0; image < map.batch; ++image) {
    for (std::int64_t top = 0; top < whole.out_height; top += kStripRows) {
      kernels::Window window = whole;
      window.out_height = std::min(kStripRows, whole.out_height - top);
      window.rows.assign(whole.rows.begin() + top,
                         whole.rows.begin() + top + window.out_height + whole.kernel_height - 1);
      const std::int64_t first = std::max<std::int64_t>(0, top - geometry.padding);
      std::int64_t last = first;
      for (std::int32_t& row : window.rows) {
        if (row < 0) continue;
        last = row;
        row -= static_cast<std::int32_t>(first);
      }
      factors.apply(map.data + (image * map.height + first) * line, image, (last - first + 1) * map.width,
                    kernels::AfterNorm::kSilu, strip.data_ptr<float>(), threads);
      const std::int64_t done = (image * whole.out_height + top) * whole.out_width;
      kernels::Epilogue epilogue = finishing.epilogue();
      if (epilogue.group_bias != nullptr) epilogue.group_bias += image * outputs;
      if (epilogue.residual != nullptr) epilogue.residual += done * outputs;
      convolve({strip.data_ptr<float>(), 1, last - first + 1, map.width, map.channels}, window, w, {},
               epilogue, y.data_ptr<float>() + done * outputs);
    }
  }
  return y;
}

at::Tensor fast_attention(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v, std::int64_t heads,
                          Mask mask) {
  const at::Tensor qs = as_rows(q), ks = as_rows(k), vs = as_rows(v);
  const at::Tensor y = at::empty(qs.sizes(), at::TensorOptions(at::kFloat));
  kernels::attention(
      qs.data_ptr<float>(), ks.data_ptr<float>(), vs.data_ptr<float>(),
      {.batch = qs.size(0),
       .heads = heads,
       .queries = qs.size(1),
       .keys = ks.size(1),
       .head = qs.size(2) / heads,
       .mask = mask == Mask::kCausal ? kernels::AttentionMask::kCausal : kernels::AttentionMask::kNone},
      y.data_ptr<float>(), at::get_num_threads());
  return y;
}

// ── libtorch's side ─────────────────────────────────────────────────────────────────────────────────────

at::Tensor slow_conv2d(const at::Tensor& x, const Weight& w, const at::Tensor& b,
                       const ConvGeometry& geometry, at::ScalarType compute) {
  const at::Tensor in = geometry.far_side_only ? at::constant_pad_nd(x, {0, 1, 0, 1}) : x;
  return at::conv2d(in_type(in, compute), in_type(w.tensor, compute), in_type(b, compute), geometry.stride,
                    geometry.far_side_only ? 0 : geometry.padding);
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

namespace {

kernels::PanelOrder order_of(bool gated) {
  return gated ? kernels::PanelOrder::kGated : kernels::PanelOrder::kPlain;
}

kernels::WeightShape shape_of(const at::Tensor& w) {
  return {w.size(0), w.size(1), w.numel() / w.size(0) / w.size(1)};
}

}  // namespace

bool Weight::is_packed(bool gated) const {
  return packed_ != nullptr && packed_from_ == tensor.data_ptr() &&
         packed_version_ == static_cast<std::int64_t>(tensor._version()) &&
         packed_->order() == order_of(gated);
}

void Weight::set_packed(std::shared_ptr<const kernels::PackedWeights> packed) const {
  packed_ = std::move(packed);
  packed_from_ = tensor.data_ptr();
  packed_version_ = static_cast<std::int64_t>(tensor._version());
}

const kernels::PackedWeights& Weight::packed(bool gated) const {
  if (!is_packed(gated)) {
    packed_.reset();
    pack_into(gated, {});
  }
  return *packed_;
}

std::int64_t Weight::packed_bytes(bool gated) const {
  return is_fixed(*this) ? kernels::packed_bytes(*number_of(tensor), shape_of(tensor), order_of(gated)) : 0;
}

void Weight::pack_into(bool gated, const kernels::Borrowed<std::byte>& memory) const {
  set_packed(std::make_shared<const kernels::PackedWeights>(tensor.data_ptr(), *number_of(tensor),
                                                            shape_of(tensor), order_of(gated),
                                                            at::get_num_threads(), memory));
}

void Weight::adopt_packed(bool gated, const kernels::Borrowed<const std::byte>& packed) const {
  set_packed(std::make_shared<const kernels::PackedWeights>(packed, *number_of(tensor), shape_of(tensor),
                                                            order_of(gated)));
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
  if (use_kernels(x, w, low_rank, compute)) return fast_linear(x, w, b, low_rank, fused);
  const at::Tensor in = in_type(x, compute);
  at::Tensor y = at::linear(in, in_type(w.tensor, compute), in_type(b, compute));
  for (const LowRank* part : low_rank)
    y = y +
        at::linear(at::linear(in, in_type(part->down.tensor, compute)), in_type(part->up.tensor, compute));
  return finish(y, fused);
}

at::Tensor conv2d(const at::Tensor& x, const Weight& w, const at::Tensor& b,
                  std::span<const LowRank* const> low_rank, const ConvGeometry& geometry, const Fused& fused,
                  at::ScalarType compute) {
  if (use_kernels(x, w, low_rank, compute)) return fast_conv2d(x, w, b, low_rank, geometry, fused);
  const at::Tensor in = upsample(x, fused);
  at::Tensor y = slow_conv2d(in, w, b, geometry, compute);
  for (const LowRank* part : low_rank)
    y = y + slow_conv2d(slow_conv2d(in, part->down, {}, geometry, compute), part->up, {}, {}, compute);
  return finish(y, fused);
}

at::Tensor group_norm(const at::Tensor& x, std::int64_t groups, const at::Tensor& w, const at::Tensor& b,
                      double eps, Activation activation) {
  LOWRANK_CHECK(activation == Activation::kNone || activation == Activation::kSilu);
  if (is_plain(x) && x.dim() == 4) {
    const at::Tensor in = as_map(x), scale = as_rows(w), shift = as_rows(b);
    const at::Tensor y = empty_map(in.sizes());
    const int threads = at::get_num_threads();
    const std::int64_t pixels = in.size(2) * in.size(3), image_size = pixels * in.size(1);
    const kernels::GroupFactors factors(in.data_ptr<float>(), in.size(0), pixels, in.size(1), groups,
                                        {scale.data_ptr<float>(), shift.data_ptr<float>(), eps}, threads);
    const auto after =
        activation == Activation::kSilu ? kernels::AfterNorm::kSilu : kernels::AfterNorm::kNothing;
    for (std::int64_t image = 0; image < in.size(0); ++image) {
      factors.apply(in.data_ptr<float>() + image * image_size, image, pixels, after,
                    y.data_ptr<float>() + image * image_size, threads);
    }
    return y;
  }
  const at::Tensor y =
      at::group_norm(in_type(x, at::kFloat), groups, in_type(w, at::kFloat), in_type(b, at::kFloat), eps);
  return activation == Activation::kSilu ? at::silu(y) : y;
}

at::Tensor conv2d_of_norm(const at::Tensor& x, const GroupNorm& norm, const Weight& w, const at::Tensor& b,
                          const ConvGeometry& geometry, const Fused& fused, at::ScalarType compute) {
  const bool is_large = x.numel() * 4 / std::max<std::int64_t>(1, x.size(0)) > kLargeMapBytes;
  if (is_large && geometry.stride == 1 && !geometry.far_side_only && !fused.upsample_to &&
      use_kernels(x, w, {}, compute)) {
    return fast_conv2d_of_norm(x, norm, w, b, geometry, fused);
  }
  const at::Tensor h = group_norm(x, norm.groups, norm.scale, norm.shift, norm.eps, Activation::kSilu);
  return conv2d(h, w, b, {}, geometry, fused, compute);
}

at::Tensor layer_norm(const at::Tensor& x, const at::Tensor& w, const at::Tensor& b, double eps) {
  if (is_plain(x)) {
    const at::Tensor in = as_rows(x), scale = as_rows(w), shift = as_rows(b);
    const at::Tensor y = at::empty(in.sizes(), at::TensorOptions(at::kFloat));
    kernels::layer_norm(in.data_ptr<float>(), in.numel() / in.size(-1), in.size(-1),
                        {scale.data_ptr<float>(), shift.data_ptr<float>(), eps}, y.data_ptr<float>(),
                        at::get_num_threads());
    return y;
  }
  return at::layer_norm(in_type(x, at::kFloat), {x.size(-1)}, in_type(w, at::kFloat), in_type(b, at::kFloat),
                        eps);
}

at::Tensor silu(const at::Tensor& x) {
  return at::silu(x);
}

at::Tensor attention(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v, std::int64_t heads,
                     Mask mask) {
  const bool is_float = q.scalar_type() == at::kFloat && k.scalar_type() == at::kFloat;
  return is_plain(q) && is_float && k.numel() > 0 ? fast_attention(q, k, v, heads, mask)
                                                  : slow_attention(q, k, v, heads, mask);
}

}  // namespace lowrank::model::ops
