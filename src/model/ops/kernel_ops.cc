#include "model/ops/kernel_ops.h"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>

#include <algorithm>
#include <vector>

#include "base/error.h"
#include "kernels/attention.h"
#include "kernels/attention_gradient.h"
#include "kernels/convolution/convolution.h"
#include "kernels/norm.h"
#include "kernels/product/product.h"

namespace lowrank::model::kernel_ops {
namespace {

using ops::Activation;
using ops::ConvGeometry;
using ops::Fused;
using ops::GroupNorm;
using ops::LowRank;
using ops::Mask;

constexpr auto kChannelsLast = at::MemoryFormat::ChannelsLast;

at::Tensor as_map(const at::Tensor& x) {
  return x.to(at::kFloat).contiguous(kChannelsLast);
}
at::Tensor as_rows(const at::Tensor& x) {
  return x.to(at::kFloat).contiguous();
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
        bool gated, const kernels::BlockKernel& kernel) {
    factors_.reserve(low_rank.size());
    for (const LowRank* part : low_rank) {
      const kernels::PackedWeights& down = part->down.packed(false);
      const std::int64_t rank = down.shape().outputs;
      inner_.push_back(at::empty({rows, rank}, at::TensorOptions(at::kFloat)));
      float* const result = inner_.back().data_ptr<float>();
      const kernels::Term term{&left, &down};
      kernels::product({&term, 1}, rows, result, rank, {}, at::get_num_threads(), kernel);
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

}  // namespace

at::Tensor linear(const at::Tensor& x, const kernels::PackedWeights& w, const at::Tensor& b,
                  std::span<const LowRank* const> low_rank, const Fused& fused,
                  const kernels::BlockKernel& kernel) {
  const at::Tensor in = as_rows(x);
  const std::int64_t depth = in.size(-1), rows = in.numel() / depth;
  LOWRANK_CHECK(depth == w.shape().inputs);
  const std::int64_t columns = w.shape().outputs / (fused.activation == Activation::kGeglu ? 2 : 1);
  std::vector<std::int64_t> sizes = in.sizes().vec();
  sizes.back() = columns;
  const at::Tensor y = at::empty(sizes, at::TensorOptions(at::kFloat));
  const Finishing finishing(b, fused, rows / std::max<std::int64_t>(1, in.size(0)), columns);
  const auto left = kernels::LeftFactor::matrix(in.data_ptr<float>(), depth, depth);
  const bool gated = fused.activation == Activation::kGeglu;
  Terms terms(left, rows, low_rank, gated, kernel);
  terms.add(left, w);
  kernels::product(terms.all(), rows, y.data_ptr<float>(), columns, finishing.epilogue(),
                   at::get_num_threads(), kernel);
  return y;
}

namespace {

// result = epilogue(map ⊛ w + Σ up · (down · map)).
void convolve(const kernels::Map& map, const kernels::Convolution& convolution,
              const kernels::PackedWeights& w, std::span<const LowRank* const> low_rank,
              const kernels::Epilogue& epilogue, float* result, const kernels::BlockKernel& kernel) {
  if (low_rank.empty()) return convolution.run(map.data, kernels::Start::kZero, epilogue, result);
  const kernels::Window& window = convolution.window();
  const auto left = kernels::Convolution::left_factor(map, window);
  const std::int64_t rows = map.batch * window.out_height * window.out_width;
  const int threads = at::get_num_threads();
  Terms terms(left, rows, low_rank, false, kernel);
  if (convolution.is_winograd()) {
    kernels::product(terms.all(), rows, result, w.shape().outputs, {}, threads, kernel);
    return convolution.run(map.data, kernels::Start::kResult, epilogue, result);
  }
  terms.add(left, w);
  kernels::product(terms.all(), rows, result, w.shape().outputs, epilogue, threads, kernel);
}

kernels::Window window_of(const at::Tensor& x, const Filter& w, const ConvGeometry& geometry,
                          const Fused& fused) {
  const std::int64_t near = geometry.near();
  const std::int64_t far = geometry.far_side_only ? 1 : geometry.padding;
  const auto [height, width] = fused.upsample_to.value_or(std::pair(x.size(2), x.size(3)));
  return kernels::make_window(w.height, w.width, geometry.stride, {near, far, near, far}, x.size(2),
                              x.size(3), height, width);
}

at::Tensor result_map(const at::Tensor& x, std::int64_t outputs, const kernels::Window& window,
                      const Fused& fused) {
  if (fused.into_residual && fused.residual.scalar_type() == at::kFloat &&
      fused.residual.is_contiguous(kChannelsLast))
    return fused.residual;
  return empty_map({x.size(0), outputs, window.out_height, window.out_width});
}

kernels::Map map_of(const at::Tensor& x) {
  return {x.data_ptr<float>(), x.size(0), x.size(2), x.size(3), x.size(1)};
}

}  // namespace

at::Tensor conv2d(const at::Tensor& x, const Filter& w, const at::Tensor& b,
                  std::span<const LowRank* const> low_rank, const ConvGeometry& geometry, const Fused& fused,
                  const kernels::BlockKernel& kernel) {
  const at::Tensor in = as_map(x);
  const std::int64_t outputs = w.packed.shape().outputs;
  LOWRANK_CHECK(in.size(1) == w.packed.shape().inputs);
  const kernels::Window window = window_of(in, w, geometry, fused);
  // A low-rank part is laid into the result first, where a residual must not lie yet.
  const at::Tensor y = result_map(in, outputs, window, low_rank.empty() ? fused : Fused{});
  const Finishing finishing(b, fused, window.out_height * window.out_width, outputs);
  const kernels::Map map = map_of(in);
  convolve(map, kernels::Convolution(map, window, w.packed, at::get_num_threads(), kernel), w.packed,
           low_rank, finishing.epilogue(), y.data_ptr<float>(), kernel);
  return y;
}

at::Tensor conv2d_gradient(const at::Tensor& dy, const Filter& turned, const ConvGeometry& geometry,
                           std::int64_t height, std::int64_t width, const kernels::BlockKernel& kernel) {
  const at::Tensor in = as_map(dy);
  LOWRANK_CHECK(in.size(1) == turned.packed.shape().inputs);
  const kernels::Window window = kernels::make_gradient_window(
      turned.height, turned.width, geometry.stride, geometry.near(), in.size(2), in.size(3), height, width);
  const at::Tensor dx = empty_map({in.size(0), turned.packed.shape().outputs, height, width});
  const kernels::Map map = map_of(in);
  convolve(map, kernels::Convolution(map, window, turned.packed, at::get_num_threads(), kernel),
           turned.packed, {}, {}, dx.data_ptr<float>(), kernel);
  return dx;
}

at::Tensor conv2d_of_norm(const at::Tensor& x, const GroupNorm& norm, const Filter& w, const at::Tensor& b,
                          const ConvGeometry& geometry, const Fused& fused,
                          const kernels::BlockKernel& kernel) {
  constexpr std::int64_t kStripRows = 32;  // of the output, a multiple of any tile's height
  const at::Tensor in = as_map(x), scale = as_rows(norm.scale), shift = as_rows(norm.shift);
  const int threads = at::get_num_threads();
  const kernels::Map map = map_of(in);
  const std::int64_t line = map.width * map.channels, outputs = w.packed.shape().outputs;
  const kernels::GroupFactors factors(map.data, map.batch, map.height, map.width, map.channels, norm.groups,
                                      {scale.data_ptr<float>(), shift.data_ptr<float>(), norm.eps}, threads);
  const kernels::Convolution convolution(map, window_of(in, w, geometry, fused), w.packed, threads, kernel);
  const kernels::Window& whole = convolution.window();
  const at::Tensor y = result_map(in, outputs, whole, fused);
  const Finishing finishing(b, fused, whole.out_height * whole.out_width, outputs);
  const at::Tensor strip =
      at::empty({kStripRows + whole.kernel_height - 1, line}, at::TensorOptions(at::kFloat));
  for (std::int64_t image = 0; image < map.batch; ++image) {
    for (std::int64_t top = 0; top < whole.out_height; top += kStripRows) {
      const std::int64_t count = std::min(kStripRows, whole.out_height - top);
      const std::int64_t first = std::max<std::int64_t>(0, top - geometry.padding),
                         end = std::min(map.height, top + count + geometry.padding);
      factors.apply(map.data + (image * map.height + first) * line, image, (end - first) * map.width,
                    kernels::AfterNorm::kSilu, strip.data_ptr<float>(), threads);
      const std::int64_t done = (image * whole.out_height + top) * whole.out_width;
      kernels::Epilogue epilogue = finishing.epilogue();
      if (epilogue.group_bias != nullptr) epilogue.group_bias += image * outputs;
      if (epilogue.residual != nullptr) epilogue.residual += done * outputs;
      convolution.run_rows(strip.data_ptr<float>(), first, top, count, epilogue,
                           y.data_ptr<float>() + done * outputs);
    }
  }
  return y;
}

// A row of the result ends before the input's row that comes next begins: strips are made beside and copied.
at::Tensor conv2d_in_place(const at::Tensor& x, const kernels::PackedWeights& w, const at::Tensor& b,
                           const kernels::BlockKernel& kernel) {
  const std::int64_t inputs = w.shape().inputs, outputs = w.shape().outputs;
  LOWRANK_CHECK(x.is_contiguous(kChannelsLast) && x.size(1) == inputs && outputs <= inputs &&
                w.shape().taps == 1);
  const std::int64_t height = x.size(2), width = x.size(3), rows = x.size(0) * height * width;
  constexpr std::int64_t kRows = 8192;
  const at::Tensor strip = at::empty({std::min(kRows, rows), outputs}, at::TensorOptions(at::kFloat));
  float* const map = x.data_ptr<float>();
  const Finishing finishing(b, {}, rows, outputs);
  for (std::int64_t row = 0; row < rows; row += kRows) {
    const std::int64_t count = std::min(kRows, rows - row);
    const auto left = kernels::LeftFactor::matrix(map + row * inputs, inputs, inputs);
    const kernels::Term term{&left, &w};
    kernels::product({&term, 1}, count, strip.data_ptr<float>(), outputs, finishing.epilogue(),
                     at::get_num_threads(), kernel);
    std::copy_n(strip.data_ptr<float>(), count * outputs, map + row * outputs);
  }
  return x.as_strided({x.size(0), outputs, height, width},
                      {height * width * outputs, 1, width * outputs, outputs});
}

at::Tensor group_norm(const at::Tensor& x, std::int64_t groups, const at::Tensor& w, const at::Tensor& b,
                      double eps, Activation activation) {
  const at::Tensor in = as_map(x), scale = as_rows(w), shift = as_rows(b);
  const at::Tensor y = empty_map(in.sizes());
  const int threads = at::get_num_threads();
  const std::int64_t pixels = in.size(2) * in.size(3), image_size = pixels * in.size(1);
  const kernels::GroupFactors factors(in.data_ptr<float>(), in.size(0), in.size(2), in.size(3), in.size(1),
                                      groups, {scale.data_ptr<float>(), shift.data_ptr<float>(), eps},
                                      threads);
  const auto after =
      activation == Activation::kSilu ? kernels::AfterNorm::kSilu : kernels::AfterNorm::kNothing;
  for (std::int64_t image = 0; image < in.size(0); ++image) {
    factors.apply(in.data_ptr<float>() + image * image_size, image, pixels, after,
                  y.data_ptr<float>() + image * image_size, threads);
  }
  return y;
}

at::Tensor layer_norm(const at::Tensor& x, const at::Tensor& w, const at::Tensor& b, double eps) {
  const at::Tensor in = as_rows(x), scale = as_rows(w), shift = as_rows(b);
  const at::Tensor y = at::empty(in.sizes(), at::TensorOptions(at::kFloat));
  kernels::layer_norm(in.data_ptr<float>(), in.numel() / in.size(-1), in.size(-1),
                      {scale.data_ptr<float>(), shift.data_ptr<float>(), eps}, y.data_ptr<float>(),
                      at::get_num_threads());
  return y;
}

namespace {

kernels::AttentionShape attention_shape(const Attended& a) {
  return {.batch = a.q.size(0),
          .heads = a.heads,
          .queries = a.q.size(1),
          .keys = a.k.size(1),
          .head = a.q.size(2) / a.heads,
          .mask = a.mask == Mask::kCausal ? kernels::AttentionMask::kCausal : kernels::AttentionMask::kNone};
}

Attended attend(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v, std::int64_t heads, Mask mask,
                const kernels::BlockKernel& kernel, bool wants_sums) {
  Attended all{as_rows(q), as_rows(k), as_rows(v), {}, {}, heads, mask};
  all.y = at::empty(all.q.sizes(), at::TensorOptions(at::kFloat));
  if (wants_sums) all.log_sums = at::empty({q.size(0), heads, q.size(1)}, at::TensorOptions(at::kFloat));
  kernels::attention(all.q.data_ptr<float>(), all.k.data_ptr<float>(), all.v.data_ptr<float>(),
                     attention_shape(all), all.y.data_ptr<float>(), at::get_num_threads(), kernel,
                     wants_sums ? all.log_sums.data_ptr<float>() : nullptr);
  return all;
}

}  // namespace

at::Tensor attention(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v, std::int64_t heads,
                     Mask mask, const kernels::BlockKernel& kernel) {
  return attend(q, k, v, heads, mask, kernel, false).y;
}

Attended attention_to_learn(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v, std::int64_t heads,
                            Mask mask, const kernels::BlockKernel& kernel) {
  return attend(q, k, v, heads, mask, kernel, true);
}

AttentionGradients attention_gradient(const at::Tensor& dy, const Attended& a,
                                      const kernels::BlockKernel& kernel) {
  const at::Tensor in = as_rows(dy);
  const auto like = [](const at::Tensor& t) { return at::empty(t.sizes(), at::TensorOptions(at::kFloat)); };
  AttentionGradients all{like(a.q), like(a.k), like(a.v)};
  kernels::attention_gradient({.q = a.q.data_ptr<float>(),
                               .k = a.k.data_ptr<float>(),
                               .v = a.v.data_ptr<float>(),
                               .y = a.y.data_ptr<float>(),
                               .dy = in.data_ptr<float>(),
                               .log_sums = a.log_sums.data_ptr<float>()},
                              attention_shape(a),
                              {all.q.data_ptr<float>(), all.k.data_ptr<float>(), all.v.data_ptr<float>()},
                              at::get_num_threads(), kernel);
  return all;
}

}  // namespace lowrank::model::kernel_ops
