#include "kernels/convolution/winograd_transforms.h"

#include <algorithm>

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/convolution/winograd_transforms.cc"
#include "kernels/simd_targets.inc"

HWY_BEFORE_NAMESPACE();
namespace lowrank::kernels {
namespace HWY_NAMESPACE {

namespace hn = hwy::HWY_NAMESPACE;

using Floats = hn::CappedTag<float, kPanel>;
constexpr Floats kFloats;
constexpr std::int64_t kLanes = static_cast<std::int64_t>(hn::MaxLanes(Floats()));
using V = hn::Vec<Floats>;

#include "kernels/product/stored_numbers.inc"

HWY_INLINE V times(float f, V v) {
  return hn::Mul(hn::Set(kFloats, f), v);
}
HWY_INLINE V fma(float f, V v, V w) {
  return hn::MulAdd(hn::Set(kFloats, f), v, w);
}

// Of each form: one column of Bᵀ d in place, in steps of `step`; G g; Aᵀ m.
struct SixPoints {
  static constexpr int kSide = 6;
  static HWY_INLINE void input(V* d, std::int64_t step) {
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
  // Powers of the points 0 … kOutputs − 1; that at infinity belongs to the last.
  template <int kOutputs>
  static HWY_INLINE void powers(const V* m, std::int64_t step, V* y, std::int64_t y_step) {
    const V sum1 = hn::Add(m[step], m[2 * step]), difference1 = hn::Sub(m[step], m[2 * step]);
    const V sum2 = hn::Add(m[3 * step], m[4 * step]), difference2 = hn::Sub(m[3 * step], m[4 * step]);
    y[0] = hn::Add(hn::Add(m[0], sum1), sum2);
    y[y_step] = fma(2.0F, difference2, difference1);
    y[2 * y_step] = fma(4.0F, sum2, sum1);
    y[3 * y_step] = fma(8.0F, difference2, difference1);
    if constexpr (kOutputs == 5) y[4 * y_step] = fma(16.0F, sum2, sum1);
    V& last = y[(kOutputs - 1) * y_step];
    last = hn::Add(last, m[5 * step]);
  }
};

struct Four : SixPoints {
  static constexpr int kTaps = 3, kOutputs = 4;
  static HWY_INLINE void filter(const V* g, std::int64_t g_step, V* u, std::int64_t step) {
    const V g0 = g[0], g1 = g[g_step], g2 = g[2 * g_step];
    const V even = times(-1.0F / 6, hn::Add(g0, g2)), odd = times(-1.0F / 6, g1);
    const V even2 = fma(1.0F / 24, g0, times(1.0F / 6, g2)), odd2 = times(1.0F / 12, g1);
    u[0] = times(0.25F, g0);
    u[step] = hn::Add(even, odd);
    u[2 * step] = hn::Sub(even, odd);
    u[3 * step] = hn::Add(even2, odd2);
    u[4 * step] = hn::Sub(even2, odd2);
    u[5 * step] = g2;
  }
  static HWY_INLINE void output(const V* m, std::int64_t step, V* y, std::int64_t y_step) {
    powers<kOutputs>(m, step, y, y_step);
  }
};

struct Two {
  static constexpr int kSide = 4, kTaps = 3, kOutputs = 2;
  static HWY_INLINE void input(V* d, std::int64_t step) {
    const V d0 = d[0], d1 = d[step], d2 = d[2 * step], d3 = d[3 * step];
    d[0] = hn::Sub(d0, d2);
    d[step] = hn::Add(d1, d2);
    d[2 * step] = hn::Sub(d2, d1);
    d[3 * step] = hn::Sub(d1, d3);
  }
  static HWY_INLINE void filter(const V* g, std::int64_t g_step, V* u, std::int64_t step) {
    const V g0 = g[0], g1 = g[g_step], g2 = g[2 * g_step];
    const V even = times(0.5F, hn::Add(g0, g2)), odd = times(0.5F, g1);
    u[0] = g0;
    u[step] = hn::Add(even, odd);
    u[2 * step] = hn::Sub(even, odd);
    u[3 * step] = g2;
  }
  static HWY_INLINE void output(const V* m, std::int64_t step, V* y, std::int64_t y_step) {
    y[0] = hn::Add(hn::Add(m[0], m[step]), m[2 * step]);
    y[y_step] = hn::Sub(hn::Sub(m[step], m[2 * step]), m[3 * step]);
  }
};

struct Doubled : SixPoints {
  static constexpr int kTaps = 2, kOutputs = 5;
  static HWY_INLINE void filter(const V* g, std::int64_t g_step, V* u, std::int64_t step) {
    const V g0 = g[0], g1 = g[g_step];
    const V sixth0 = times(-1.0F / 6, g0), sixth1 = times(-1.0F / 6, g1);
    const V part0 = times(1.0F / 24, g0), part1 = times(1.0F / 12, g1);
    u[0] = times(0.25F, g0);
    u[step] = hn::Add(sixth0, sixth1);
    u[2 * step] = hn::Sub(sixth0, sixth1);
    u[3 * step] = hn::Add(part0, part1);
    u[4 * step] = hn::Sub(part0, part1);
    u[5 * step] = g1;
  }
  static HWY_INLINE void output(const V* m, std::int64_t step, V* y, std::int64_t y_step) {
    powers<kOutputs>(m, step, y, y_step);
  }
};

template <typename Form>
HWY_INLINE void input_tile(V* d) {
  for (int x = 0; x < Form::kSide; ++x) Form::input(d + x, Form::kSide);
  for (int y = 0; y < Form::kSide; ++y) Form::input(d + Form::kSide * y, 1);
}

template <typename Form>
void input_of(const float* const* pixels, std::int64_t channels, float* const* to) {
  constexpr int kAll = Form::kSide * Form::kSide;
  std::int64_t c = 0;
  for (; c + kLanes <= channels; c += kLanes) {
    V d[kAll];
    for (int i = 0; i < kAll; ++i)
      d[i] = pixels[i] == nullptr ? hn::Zero(kFloats) : hn::LoadU(kFloats, pixels[i] + c);
    input_tile<Form>(d);
    for (int i = 0; i < kAll; ++i) hn::StoreU(d[i], kFloats, to[i] + c);
  }
  if (c == channels) return;
  // The last few channels, in a vector of their own.
  HWY_ALIGN float rest[kAll][kPanel] = {};
  for (int i = 0; i < kAll; ++i)
    if (pixels[i] != nullptr) std::copy(pixels[i] + c, pixels[i] + channels, rest[i]);
  V d[kAll];
  for (int i = 0; i < kAll; ++i) d[i] = hn::Load(kFloats, rest[i]);
  input_tile<Form>(d);
  for (int i = 0; i < kAll; ++i) {
    hn::Store(d[i], kFloats, rest[i]);
    std::copy(rest[i], rest[i] + (channels - c), to[i] + c);
  }
}

// Three taps over a row in which each pixel stands twice, for the first or second output of a pair: two taps.
HWY_INLINE void pair_taps(const V* g, std::int64_t g_step, bool second, V* two, std::int64_t step) {
  two[0] = second ? g[0] : hn::Add(g[0], g[g_step]);
  two[step] = second ? hn::Add(g[g_step], g[2 * g_step]) : g[2 * g_step];
}

template <typename Form, typename Load>
HWY_INLINE void filters_of(std::int64_t filter, std::int64_t depth, std::int64_t tap_stride, float* to,
                           std::int64_t frequency_stride, const Load& load) {
  constexpr int kSide = Form::kSide, kTaps = Form::kTaps;
  for (std::int64_t i = 0; i < depth * kPanel; i += kLanes) {
    V g[9], column[kSide * kTaps], u[kSide * kSide];
    for (int tap = 0; tap < 9; ++tap) g[tap] = load(tap * tap_stride + i);
    if constexpr (kTaps == 2) {
      V lines[6];
      for (int y = 0; y < 3; ++y) pair_taps(g + 3 * y, 1, filter % 2 != 0, lines + 2 * y, 1);
      for (int x = 0; x < 2; ++x) pair_taps(lines + x, 2, filter / 2 != 0, g + x, 2);
    }
    for (int x = 0; x < kTaps; ++x) Form::filter(g + x, kTaps, column + x, kTaps);
    for (int y = 0; y < kSide; ++y) Form::filter(column + kTaps * y, 1, u + kSide * y, 1);
    for (int f = 0; f < kSide * kSide; ++f) hn::StoreU(u[f], kFloats, to + f * frequency_stride + i);
  }
}

template <typename Form>
void panel_of(std::int64_t filter, const void* panel, Number number, std::int64_t depth,
              std::int64_t tap_stride, float* to, std::int64_t frequency_stride) {
  with_numbers(panel, number, [&](const auto& load) HWY_ATTR {
    filters_of<Form>(filter, depth, tap_stride, to, frequency_stride, load);
  });
}

template <typename Form>
void output_of(const float* sums, std::int64_t frequency_stride, std::int64_t columns, float* to,
               std::int64_t pixel_stride) {
  constexpr int kSide = Form::kSide, kOutputs = Form::kOutputs;
  for (std::int64_t c = 0; c < columns; c += kLanes) {
    V m[kSide * kSide], rows[kSide * kOutputs], y[kOutputs * kOutputs];
    for (int f = 0; f < kSide * kSide; ++f) m[f] = hn::LoadU(kFloats, sums + f * frequency_stride + c);
    for (int x = 0; x < kSide; ++x) Form::output(m + x, kSide, rows + x, kSide);
    for (int r = 0; r < kOutputs; ++r) Form::output(rows + kSide * r, 1, y + kOutputs * r, 1);
    for (int p = 0; p < kOutputs * kOutputs; ++p) hn::StoreU(y[p], kFloats, to + p * pixel_stride + c);
  }
}

void input_any(WinogradForm form, const float* const* pixels, std::int64_t channels, float* const* to) {
  if (form == WinogradForm::kTwo) return input_of<Two>(pixels, channels, to);
  input_of<Four>(pixels, channels, to);  // kDoubled has the same points
}

void panel_any(WinogradForm form, std::int64_t filter, const void* panel, Number number, std::int64_t depth,
               std::int64_t tap_stride, float* to, std::int64_t frequency_stride) {
  switch (form) {
    case WinogradForm::kFour:
      return panel_of<Four>(filter, panel, number, depth, tap_stride, to, frequency_stride);
    case WinogradForm::kTwo:
      return panel_of<Two>(filter, panel, number, depth, tap_stride, to, frequency_stride);
    case WinogradForm::kDoubled:
      return panel_of<Doubled>(filter, panel, number, depth, tap_stride, to, frequency_stride);
  }
}

void output_any(WinogradForm form, const float* sums, std::int64_t frequency_stride, std::int64_t columns,
                float* to, std::int64_t pixel_stride) {
  switch (form) {
    case WinogradForm::kFour:
      return output_of<Four>(sums, frequency_stride, columns, to, pixel_stride);
    case WinogradForm::kTwo:
      return output_of<Two>(sums, frequency_stride, columns, to, pixel_stride);
    case WinogradForm::kDoubled:
      return output_of<Doubled>(sums, frequency_stride, columns, to, pixel_stride);
  }
}

void add_any(const float* from, std::int64_t count, float* to) {
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

HWY_EXPORT(input_any);
HWY_EXPORT(panel_any);
HWY_EXPORT(output_any);
HWY_EXPORT(add_any);

void transform_input(WinogradForm form, const float* const* pixels, std::int64_t channels, float* const* to) {
  HWY_DYNAMIC_DISPATCH(input_any)(form, pixels, channels, to);
}

void transform_panel(WinogradForm form, std::int64_t filter, const void* panel, Number number,
                     std::int64_t depth, std::int64_t tap_stride, float* to, std::int64_t frequency_stride) {
  HWY_DYNAMIC_DISPATCH(panel_any)(form, filter, panel, number, depth, tap_stride, to, frequency_stride);
}

void transform_output(WinogradForm form, const float* sums, std::int64_t frequency_stride,
                      std::int64_t columns, float* to, std::int64_t pixel_stride) {
  HWY_DYNAMIC_DISPATCH(output_any)(form, sums, frequency_stride, columns, to, pixel_stride);
}

void add_row(const float* from, std::int64_t count, float* to) {
  HWY_DYNAMIC_DISPATCH(add_any)(from, count, to);
}

}  // namespace lowrank::kernels
#endif
