#include "kernels/norm.h"

#include <algorithm>
#include <cmath>
#include <vector>

#include "base/error.h"
#include "base/parallel.h"

#ifndef LOWRANK_KERNELS_NORM_FACTORS
#define LOWRANK_KERNELS_NORM_FACTORS
namespace lowrank::kernels {

// y = (x − mean) · scale + shift, per channel. The mean is not drawn into the shift: where it is far larger
// than the deviation, two large numbers would cancel.
struct ChannelFactors {
  const float *mean, *scale, *shift;
};

}  // namespace lowrank::kernels
#endif

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/norm.cc"
#include "kernels/simd_targets.inc"

HWY_BEFORE_NAMESPACE();
namespace lowrank::kernels {
namespace HWY_NAMESPACE {

namespace hn = hwy::HWY_NAMESPACE;
#include "kernels/simd_math.inc"

using Floats = hn::ScalableTag<float>;
constexpr Floats kFloats;

// sums[c] += Σ x, squares[c] += Σ x² over `pixels` rows.
void add_moments(const float* x, std::int64_t pixels, std::int64_t channels, float* sums, float* squares) {
  const auto lanes = static_cast<std::int64_t>(hn::Lanes(kFloats));
  std::int64_t c = 0;
  for (; c + lanes <= channels; c += lanes) {
    auto sum = hn::LoadU(kFloats, sums + c), square = hn::LoadU(kFloats, squares + c);
    for (std::int64_t p = 0; p < pixels; ++p) {
      const auto v = hn::LoadU(kFloats, x + p * channels + c);
      sum = hn::Add(sum, v);
      square = hn::MulAdd(v, v, square);
    }
    hn::StoreU(sum, kFloats, sums + c);
    hn::StoreU(square, kFloats, squares + c);
  }
  for (; c < channels; ++c) {
    for (std::int64_t p = 0; p < pixels; ++p) {
      const float v = x[p * channels + c];
      sums[c] += v;
      squares[c] += v * v;
    }
  }
}

template <bool kSilu, typename D>
HWY_INLINE void scale_and_shift(D d, const float* x, const ChannelFactors& f, std::int64_t c, float* result) {
  auto v = hn::Sub(hn::LoadU(d, x + c), hn::LoadU(d, f.mean + c));
  v = hn::MulAdd(v, hn::LoadU(d, f.scale + c), hn::LoadU(d, f.shift + c));
  if constexpr (kSilu) v = sigmoid_gated(d, v, 1.0F);
  hn::StoreU(v, d, result + c);
}

template <bool kSilu>
void scale_rows(const float* x, std::int64_t pixels, std::int64_t channels, const ChannelFactors& factors,
                float* result) {
  const auto lanes = static_cast<std::int64_t>(hn::Lanes(kFloats));
  for (std::int64_t p = 0; p < pixels; ++p, x += channels, result += channels) {
    std::int64_t c = 0;
    for (; c + lanes <= channels; c += lanes) scale_and_shift<kSilu>(kFloats, x, factors, c, result);
    for (; c < channels; ++c) scale_and_shift<kSilu>(hn::CappedTag<float, 1>(), x, factors, c, result);
  }
}

void apply_norm(const float* x, std::int64_t pixels, std::int64_t channels, const ChannelFactors& factors,
                AfterNorm after, float* result) {
  if (after == AfterNorm::kSilu) return scale_rows<true>(x, pixels, channels, factors, result);
  scale_rows<false>(x, pixels, channels, factors, result);
}

void normalise_row(const float* x, std::int64_t channels, const NormWeights& weights, float* result) {
  const auto lanes = static_cast<std::int64_t>(hn::Lanes(kFloats));
  const std::int64_t whole = channels / lanes * lanes;
  auto sums = hn::Zero(kFloats);
  for (std::int64_t c = 0; c < whole; c += lanes) sums = hn::Add(sums, hn::LoadU(kFloats, x + c));
  float sum = hn::GetLane(hn::SumOfLanes(kFloats, sums));
  for (std::int64_t c = whole; c < channels; ++c) sum += x[c];
  const float mean = sum / static_cast<float>(channels);

  const auto means = hn::Set(kFloats, mean);
  auto squares = hn::Zero(kFloats);
  for (std::int64_t c = 0; c < whole; c += lanes) {
    const auto v = hn::Sub(hn::LoadU(kFloats, x + c), means);
    squares = hn::MulAdd(v, v, squares);
  }
  float square = hn::GetLane(hn::SumOfLanes(kFloats, squares));
  for (std::int64_t c = whole; c < channels; ++c) square += (x[c] - mean) * (x[c] - mean);
  const auto inverse = static_cast<float>(
      1 / std::sqrt(static_cast<double>(square) / static_cast<double>(channels) + weights.eps));

  const auto inverses = hn::Set(kFloats, inverse);
  for (std::int64_t c = 0; c < whole; c += lanes) {
    const auto v = hn::Mul(hn::Sub(hn::LoadU(kFloats, x + c), means), inverses);
    hn::StoreU(hn::MulAdd(v, hn::LoadU(kFloats, weights.scale + c), hn::LoadU(kFloats, weights.shift + c)),
               kFloats, result + c);
  }
  for (std::int64_t c = whole; c < channels; ++c)
    result[c] = (x[c] - mean) * inverse * weights.scale[c] + weights.shift[c];
}

}  // namespace HWY_NAMESPACE
}  // namespace lowrank::kernels
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace lowrank::kernels {

HWY_EXPORT(add_moments);
HWY_EXPORT(apply_norm);
HWY_EXPORT(normalise_row);

namespace {

// Pixels of one work item, and those summed in float32 before float64 takes over.
constexpr std::int64_t kItemBytes = 256 << 10, kStripBytes = 32 << 10;

std::int64_t rows_in(std::int64_t bytes, std::int64_t channels) {
  return std::max<std::int64_t>(1, bytes / (channels * 4));
}

GroupMoments whole_moments(const float* x, std::int64_t batch, std::int64_t height, std::int64_t width,
                           std::int64_t channels, std::int64_t groups, int threads) {
  GroupMoments moments(batch, height, width, channels, groups);
  for (std::int64_t image = 0; image < batch; ++image)
    moments.add(x + image * height * width * channels, image, 0, height, threads);
  return moments;
}

}  // namespace

GroupMoments::GroupMoments(std::int64_t batch, std::int64_t height, std::int64_t width, std::int64_t channels,
                           std::int64_t groups)
    : batch_(batch),
      height_(height),
      width_(width),
      channels_(channels),
      groups_(groups),
      step_(rows_in(kItemBytes, width * channels)),
      items_((height + step_ - 1) / step_),
      sums_(static_cast<std::size_t>(batch * items_ * groups)) {
  LOWRANK_CHECK(groups > 0 && channels % groups == 0);
}

void GroupMoments::add(const float* x, std::int64_t image, std::int64_t first, std::int64_t rows,
                       int threads) {
  LOWRANK_CHECK(first % step_ == 0 && (rows % step_ == 0 || first + rows == height_));
  const std::int64_t line = width_ * channels_;
  parallel_for((rows + step_ - 1) / step_, threads, [&](std::int64_t item) {
    const std::int64_t from = item * step_, count = std::min(step_, rows - from);
    add_pixels(x + from * line, count * width_, channels_, groups_,
               sums_.data() + (image * items_ + first / step_ + item) * groups_);
  });
}

void GroupMoments::add_pixels(const float* x, std::int64_t pixels, std::int64_t channels, std::int64_t groups,
                              Sums* all) {
  const std::int64_t width = channels / groups, strip = rows_in(kStripBytes, channels);
  std::vector<float> sums(static_cast<std::size_t>(2 * channels));
  float* const squares = sums.data() + channels;
  for (std::int64_t p = 0; p < pixels; p += strip) {
    std::fill(sums.begin(), sums.end(), 0.0F);
    HWY_DYNAMIC_DISPATCH(add_moments)
    (x + p * channels, std::min(strip, pixels - p), channels, sums.data(), squares);
    for (std::int64_t c = 0; c < channels; ++c) {
      all[c / width].sum += static_cast<double>(sums[static_cast<std::size_t>(c)]);
      all[c / width].square += static_cast<double>(squares[c]);
    }
  }
}

GroupFactors::GroupFactors(const GroupMoments& m, const NormWeights& weights)
    : batch_(m.batch_),
      channels_(m.channels_),
      factors_(static_cast<std::size_t>(3 * m.batch_ * m.channels_)) {
  float *const means = factors_.data(), *const scales = means + batch_ * channels_,
               *const shifts = scales + batch_ * channels_;
  for (std::int64_t i = 0; i < batch_ * channels_; ++i) {
    const std::int64_t image = i / channels_, c = i % channels_, group = c / (channels_ / m.groups_);
    double sum = 0, square = 0;
    for (std::int64_t item = image * m.items_; item < (image + 1) * m.items_; ++item) {
      const GroupMoments::Sums& part = m.sums_[static_cast<std::size_t>(item * m.groups_ + group)];
      sum += part.sum;
      square += part.square;
    }
    const double count = static_cast<double>(m.height_ * m.width_ * (channels_ / m.groups_)),
                 mean = sum / count;
    const double variance = std::max(0.0, square / count - mean * mean);
    means[i] = static_cast<float>(mean);
    scales[i] = static_cast<float>(static_cast<double>(weights.scale[c]) / std::sqrt(variance + weights.eps));
    shifts[i] = weights.shift[c];
  }
}

GroupFactors::GroupFactors(const float* x, std::int64_t batch, std::int64_t height, std::int64_t width,
                           std::int64_t channels, std::int64_t groups, const NormWeights& weights,
                           int threads)
    : GroupFactors(whole_moments(x, batch, height, width, channels, groups, threads), weights) {}

void GroupFactors::apply(const float* x, std::int64_t image, std::int64_t pixels, AfterNorm after,
                         float* result, int threads) const {
  const float* const means = factors_.data() + image * channels_;
  const ChannelFactors factors{means, means + batch_ * channels_, means + 2 * batch_ * channels_};
  const std::int64_t rows = rows_in(kItemBytes, channels_);
  parallel_for((pixels + rows - 1) / rows, threads, [&](std::int64_t item) {
    const std::int64_t from = item * rows, at = from * channels_;
    HWY_DYNAMIC_DISPATCH(apply_norm)
    (x + at, std::min(rows, pixels - from), channels_, factors, after, result + at);
  });
}

void layer_norm(const float* x, std::int64_t rows, std::int64_t channels, const NormWeights& weights,
                float* result, int threads) {
  const std::int64_t strip = rows_in(kItemBytes, channels);
  parallel_for((rows + strip - 1) / strip, threads, [&](std::int64_t item) {
    for (std::int64_t r = item * strip; r < std::min(rows, (item + 1) * strip); ++r)
      HWY_DYNAMIC_DISPATCH(normalise_row)(x + r * channels, channels, weights, result + r * channels);
  });
}

}  // namespace lowrank::kernels
#endif
