#include "kernels/winograd.h"

#include <algorithm>
#include <array>

#include "base/error.h"
#include "base/parallel.h"
#include "kernels/buffer.h"
#include "kernels/cut.h"
#include "kernels/epilogue.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/winograd.cc"
#include "kernels/simd_targets.inc"

HWY_BEFORE_NAMESPACE();
namespace lowrank::kernels {
namespace HWY_NAMESPACE {

namespace hn = hwy::HWY_NAMESPACE;

using Floats = hn::CappedTag<float, kPanel>;
constexpr Floats kFloats;
constexpr std::int64_t kLanes = static_cast<std::int64_t>(hn::MaxLanes(Floats()));
using V = hn::Vec<Floats>;

HWY_INLINE V times(float f, V v) {
  return hn::Mul(hn::Set(kFloats, f), v);
}
HWY_INLINE V fma(float f, V v, V w) {
  return hn::MulAdd(hn::Set(kFloats, f), v, w);
}

// One column of Bᵀ d, read and written in steps of `step`.
HWY_INLINE void input_column(V* d, std::int64_t step) {
  const V d0 = d[0], d1 = d[step], d2 = d[2 * step], d3 = d[3 * step], d4 = d[4 * step], d5 = d[5 * step];
  const V a = fma(-4.0F, d2, d4), b = fma(-4.0F, d1, d3), c = hn::Sub(d4, d2),
          e = times(2.0F, hn::Sub(d3, d1));
  d[0] = hn::Add(fma(4.0F, d0, d4), times(-5.0F, d2));
  d[step] = hn::Add(a, b);
  d[2 * step] = hn::Sub(a, b);
  d[3 * step] = hn::Add(c, e);
  d[4 * step] = hn::Sub(c, e);
  d[5 * step] = hn::Add(fma(4.0F, d1, d5), times(-5.0F, d3));
}

// G g: three numbers to six.
HWY_INLINE void filter_column(V g0, V g1, V g2, V* u, std::int64_t step) {
  const V even = times(-1.0F / 6, hn::Add(g0, g2)), odd = times(-1.0F / 6, g1);
  const V even2 = fma(1.0F / 24, g0, times(1.0F / 6, g2)), odd2 = times(1.0F / 12, g1);
  u[0] = times(0.25F, g0);
  u[step] = hn::Add(even, odd);
  u[2 * step] = hn::Sub(even, odd);
  u[3 * step] = hn::Add(even2, odd2);
  u[4 * step] = hn::Sub(even2, odd2);
  u[5 * step] = g2;
}

// Aᵀ m: six numbers to four.
HWY_INLINE void output_column(const V* m, std::int64_t step, V* y, std::int64_t y_step) {
  const V sum1 = hn::Add(m[step], m[2 * step]), difference1 = hn::Sub(m[step], m[2 * step]);
  const V sum2 = hn::Add(m[3 * step], m[4 * step]), difference2 = hn::Sub(m[3 * step], m[4 * step]);
  y[0] = hn::Add(hn::Add(m[0], sum1), sum2);
  y[y_step] = fma(2.0F, difference2, difference1);
  y[2 * y_step] = fma(4.0F, sum2, sum1);
  y[3 * y_step] = hn::Add(fma(8.0F, difference2, difference1), m[5 * step]);
}

// `pixels`: the 36 of a tile, null where there are zeros, from the first of `channels` channels on. Frequency
// f goes to to[f].
void transform_input(const float* const* pixels, std::int64_t channels, float* const* to) {
  std::int64_t c = 0;
  for (; c + kLanes <= channels; c += kLanes) {
    V d[36];
    for (int i = 0; i < 36; ++i)
      d[i] = pixels[i] == nullptr ? hn::Zero(kFloats) : hn::LoadU(kFloats, pixels[i] + c);
    for (int x = 0; x < 6; ++x) input_column(d + x, 6);
    for (int y = 0; y < 6; ++y) input_column(d + 6 * y, 1);
    for (int i = 0; i < 36; ++i) hn::StoreU(d[i], kFloats, to[i] + c);
  }
  if (c == channels) return;
  // The last few channels, in a vector of their own.
  HWY_ALIGN float rest[36][kPanel] = {};
  for (int i = 0; i < 36; ++i)
    if (pixels[i] != nullptr) std::copy(pixels[i] + c, pixels[i] + channels, rest[i]);
  V d[36];
  for (int i = 0; i < 36; ++i) d[i] = hn::Load(kFloats, rest[i]);
  for (int x = 0; x < 6; ++x) input_column(d + x, 6);
  for (int y = 0; y < 6; ++y) input_column(d + 6 * y, 1);
  for (int i = 0; i < 36; ++i) {
    hn::Store(d[i], kFloats, rest[i]);
    std::copy(rest[i], rest[i] + (channels - c), to[i] + c);
  }
}

template <typename Load>
HWY_INLINE void transform_filters(std::int64_t depth, std::int64_t tap_stride, float* to,
                                  std::int64_t frequency_stride, const Load& load) {
  for (std::int64_t i = 0; i < depth * kPanel; i += kLanes) {
    V u[36], column[18];
    for (int x = 0; x < 3; ++x)
      filter_column(load(x * tap_stride + i), load((3 + x) * tap_stride + i), load((6 + x) * tap_stride + i),
                    column + x, 3);
    for (int y = 0; y < 6; ++y)
      filter_column(column[3 * y], column[3 * y + 1], column[3 * y + 2], u + 6 * y, 1);
    for (int f = 0; f < 36; ++f) hn::StoreU(u[f], kFloats, to + f * frequency_stride + i);
  }
}

// `depth` inputs of one panel; taps are tap_stride numbers apart. Frequency f goes to to + f ·
// frequency_stride.
void transform_panel(const void* panel, Number number, std::int64_t depth, std::int64_t tap_stride, float* to,
                     std::int64_t frequency_stride) {
  switch (number) {
    case Number::kFloat32: {
      const auto* in = static_cast<const float*>(panel);
      return transform_filters(depth, tap_stride, to, frequency_stride,
                               [in](std::int64_t i) { return hn::LoadU(kFloats, in + i); });
    }
    case Number::kFloat16: {
      const auto* in = static_cast<const hwy::float16_t*>(panel);
      return transform_filters(depth, tap_stride, to, frequency_stride, [in](std::int64_t i) {
        return hn::PromoteTo(kFloats, hn::LoadU(hn::Rebind<hwy::float16_t, Floats>(), in + i));
      });
    }
    case Number::kBfloat16: {
      const auto* in = static_cast<const hwy::bfloat16_t*>(panel);
      return transform_filters(depth, tap_stride, to, frequency_stride, [in](std::int64_t i) {
        return hn::PromoteTo(kFloats, hn::LoadU(hn::Rebind<hwy::bfloat16_t, Floats>(), in + i));
      });
    }
  }
}

// 36 sums of one tile, frequency_stride apart, `columns` each (a multiple of 16) → 16 pixels, pixel_stride
// apart.
void transform_output(const float* sums, std::int64_t frequency_stride, std::int64_t columns, float* to,
                      std::int64_t pixel_stride) {
  for (std::int64_t c = 0; c < columns; c += kLanes) {
    V m[36], rows[24], y[16];
    for (int f = 0; f < 36; ++f) m[f] = hn::LoadU(kFloats, sums + f * frequency_stride + c);
    for (int x = 0; x < 6; ++x) output_column(m + x, 6, rows + x, 6);
    for (int r = 0; r < 4; ++r) output_column(rows + 6 * r, 1, y + 4 * r, 1);
    for (int p = 0; p < 16; ++p) hn::StoreU(y[p], kFloats, to + p * pixel_stride + c);
  }
}

void add_row(const float* from, std::int64_t count, float* to) {
  std::int64_t i = 0;
  for (; i + kLanes <= count; i += kLanes)
    hn::StoreU(hn::Add(hn::LoadU(kFloats, from + i), hn::LoadU(kFloats, to + i)), kFloats, to + i);
  for (; i < count; ++i) to[i] += from[i];
}

}  // namespace HWY_NAMESPACE
}  // namespace lowrank::kernels
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace lowrank::kernels {

HWY_EXPORT(transform_input);
HWY_EXPORT(transform_panel);
HWY_EXPORT(transform_output);
HWY_EXPORT(add_row);

namespace {

constexpr std::int64_t kFrequencies = 36;
// Tiles are taken in chunks whose transformed inputs stay in a level-3 cache and are made once, for all
// outputs; a work item is a strip of panels against one chunk, and makes its transformed filters.
constexpr std::int64_t kChunkTiles = 192, kChunkBytes = 32 << 20, kItemPanels = 5;
constexpr std::int64_t kTilesAtOnce = 8;  // transformed by one thread
// Between one frequency and the next: a cache line more than a multiple of 4096, so that the 36 that are
// written or read together do not share the sets of a level-1 cache.
constexpr std::int64_t kOff = 64;
static_assert(kChunkTiles <= kBlockRows && kChunkTiles % 32 == 0);

class Convolution {
 public:
  Convolution(const Map& map, const Window& window, const PackedWeights& weights)
      : map_(map),
        window_(window),
        weights_(weights),
        across_((window.out_width + 3) / 4),
        down_((window.out_height + 3) / 4) {}

  std::int64_t tiles() const { return map_.batch * across_ * down_; }
  std::int64_t outputs() const { return weights_.shape().outputs; }

  struct Place {
    std::int64_t image, y, x;  // of a tile's first output
  };
  Place place(std::int64_t tile) const {
    return {tile / (across_ * down_), tile / across_ % down_ * 4, tile % across_ * 4};
  }

  // Frequency f of the tile goes to row `row` of left block f; blocks are block_bytes apart.
  void transform_tile(std::int64_t tile, std::int64_t row, std::int64_t from, std::int64_t depth,
                      std::byte* blocks, std::int64_t block_bytes) const {
    const auto [image, y0, x0] = place(tile);
    std::array<const float*, kFrequencies> pixels;
    std::array<float*, kFrequencies> to;
    for (std::int64_t i = 0; i < kFrequencies; ++i) {
      const std::int64_t y = look_up(window_.rows, y0 + i / 6), x = look_up(window_.columns, x0 + i % 6);
      pixels[static_cast<std::size_t>(i)] =
          y < 0 || x < 0 ? nullptr
                         : map_.data + ((image * map_.height + y) * map_.width + x) * map_.channels + from;
      to[static_cast<std::size_t>(i)] = reinterpret_cast<float*>(blocks + i * block_bytes + row * kRowBytes);
    }
    HWY_DYNAMIC_DISPATCH(transform_input)(pixels.data(), depth, to.data());
  }

  void finish_tile(std::int64_t tile, const float* sums, std::int64_t frequency_stride, std::int64_t panel,
                   std::int64_t panels, Start start, const Epilogue& epilogue, float* result) const {
    std::array<float, 16 * kItemPanels * kPanel> pixels;
    const std::int64_t width = panels * kPanel, column = panel * kPanel;
    const std::int64_t columns = std::min(width, outputs() - column);
    HWY_DYNAMIC_DISPATCH(transform_output)(sums, frequency_stride, width, pixels.data(), width);
    const auto [image, y0, x0] = place(tile);
    for (std::int64_t y = y0; y < std::min(y0 + 4, window_.out_height); ++y) {
      float* const line = pixels.data() + (y - y0) * 4 * width;
      const std::int64_t row = (image * window_.out_height + y) * window_.out_width + x0;
      const std::int64_t rows = std::min<std::int64_t>(4, window_.out_width - x0);
      for (std::int64_t r = 0; start == Start::kResult && r < rows; ++r)
        HWY_DYNAMIC_DISPATCH(add_row)(result + (row + r) * outputs() + column, columns, line + r * width);
      finish_block({.sums = line,
                    .stride = width,
                    .row = row,
                    .rows = rows,
                    .column = column,
                    .columns = columns,
                    .outputs = outputs()},
                   epilogue, result, outputs());
    }
  }

 private:
  // Past the last output the window ends; what a tile sees there is never used.
  static std::int64_t look_up(const std::vector<std::int32_t>& positions, std::int64_t i) {
    return i < static_cast<std::int64_t>(positions.size()) ? positions[static_cast<std::size_t>(i)] : -1;
  }

  const Map& map_;
  const Window& window_;
  const PackedWeights& weights_;
  std::int64_t across_, down_;
};

}  // namespace

bool winograd_pays(const Map& map, const Window& window, const PackedWeights& weights,
                   const BlockKernel& kernel) {
  if (&kernel != &simd_block_kernel() || window.kernel_height != 3 || window.kernel_width != 3 ||
      window.stride != 1)
    return false;
  const std::int64_t tiles = map.batch * ((window.out_height + 3) / 4) * ((window.out_width + 3) / 4);
  return tiles >= 8 && map.channels >= 16 && weights.shape().outputs >= 16;
}

void winograd(const Map& map, const Window& window, const PackedWeights& weights, float* result, Start start,
              const Epilogue& epilogue, int threads) {
  LOWRANK_CHECK(weights.order() == PanelOrder::kPlain && weights.shape().taps == 9 && window.stride == 1 &&
                weights.shape().inputs == map.channels && epilogue.activation != Activation::kGated);
  const Convolution convolution(map, window, weights);
  const BlockKernel& kernel = simd_block_kernel();
  const std::int64_t inputs = map.channels;
  const Cut depths = cut(inputs, kBlockDepth, kPanel);
  const std::int64_t step = depths.size, steps = depths.count;
  const std::int64_t bytes_of_tile = steps * kFrequencies * kRowBytes;
  const std::int64_t chunk =
      cut(convolution.tiles(),
          std::clamp(kChunkBytes / bytes_of_tile / 32 * 32, std::int64_t{32}, kChunkTiles), 8)
          .size;
  const std::int64_t block_bytes = round_up(round_up(chunk, 32) * kRowBytes, 4096) + kOff,
                     step_bytes = kFrequencies * block_bytes;
  std::byte* const lefts = scratch(3, steps * step_bytes);
  const Cut panels_of_strips = cut(weights.panels(), kItemPanels, 1);
  const std::int64_t strip = panels_of_strips.size, strips = panels_of_strips.count;
  for (std::int64_t first = 0; first < convolution.tiles(); first += chunk) {
    const std::int64_t tiles = std::min(chunk, convolution.tiles() - first);
    parallel_for((tiles + kTilesAtOnce - 1) / kTilesAtOnce, threads, [&](std::int64_t item) {
      for (std::int64_t t = item * kTilesAtOnce; t < std::min(tiles, (item + 1) * kTilesAtOnce); ++t)
        for (std::int64_t s = 0; s < steps; ++s)
          convolution.transform_tile(first + t, t, s * step, std::min(step, inputs - s * step),
                                     lefts + s * step_bytes, block_bytes);
    });
    parallel_for(strips, threads, [&](std::int64_t item) {
      const std::int64_t panel = item * strip, panels = std::min(strip, weights.panels() - panel);
      const std::int64_t width = panels * kPanel, sums_of_one = round_up(tiles * width, 1024) + kOff / 4;
      const std::int64_t filters_of_one = round_up(panels * panel_bytes(step), 4096) / 4 + kOff / 4;
      float* const filters = reinterpret_cast<float*>(scratch(1, kFrequencies * filters_of_one * 4));
      float* const sums = reinterpret_cast<float*>(scratch(2, kFrequencies * (sums_of_one + 32 * width) * 4));
      for (std::int64_t s = 0; s < steps; ++s) {
        const std::int64_t from = s * step, depth = std::min(step, inputs - from);
        const std::int64_t floats = panel_bytes(depth) / 4;
        for (std::int64_t p = 0; p < panels; ++p) {
          HWY_DYNAMIC_DISPATCH(transform_panel)
          (weights.at(panel + p, from), weights.number(), depth, inputs * kPanel, filters + p * floats,
           filters_of_one);
        }
        for (std::int64_t f = 0; f < kFrequencies; ++f) {
          kernel.multiply(lefts + s * step_bytes + f * block_bytes, tiles, filters + f * filters_of_one,
                          panels, depth, sums + f * sums_of_one, width, s > 0);
        }
      }
      for (std::int64_t t = 0; t < tiles; ++t)
        convolution.finish_tile(first + t, sums + t * width, sums_of_one, panel, panels, start, epilogue,
                                result);
    });
  }
}

}  // namespace lowrank::kernels
#endif
