// The block product in whole numbers of 8 bits on AVX-512's VNNI.
//
// Note [8-bit products]: vpdpbusd adds four products of an unsigned and a signed byte to each of 16 sums of 32 bits, four
// times the products of a float32 multiply-add. Weights are held in runs of kRun inputs with a scale for each column
// (Number::kInt8); rows are rounded the same way when they are laid into a block, each run by a scale of its own, so that a
// large activation coarsens its 32 neighbours and no others. x is laid down as x + 128, as the instruction has it; what
// that adds, 128 times the sum of a column's weights, is where the sums of a run begin. Runs are added in float32.
#include "kernels/product/block_kernel.h"

// Clang does not know push_options: it takes the emulated one.
#if defined(__x86_64__) && defined(__linux__) && defined(__GNUC__) && !defined(__clang__)

#include <immintrin.h>

#include <algorithm>
#include <cstring>

#include "kernels/simd_limit.h"

namespace lowrank::kernels {
namespace {

// GCC 12 takes the intrinsics' own undefined vectors for an oversight of ours (its bug 105593).
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
// Vectors are passed between functions of this file only.
#pragma GCC diagnostic ignored "-Wpsabi"
#pragma GCC push_options
#pragma GCC target("avx512f,avx512bw,avx512vl,avx512dq,avx512vnni,f16c,fma")

// A left row: kBlockDepth bytes, and from kScales on the scale of each run.
constexpr std::int64_t kLeftRow = kBlockDepth * 2 + 64, kScales = kBlockDepth * 2;
static_assert(kBlockDepth / kRun * 4 <= kLeftRow - kScales);
// A run of a panel: [kRun / 4][kPanel][4] bytes, the columns' scales, and where their sums begin.
constexpr std::int64_t kBytes = kRun * kPanel, kRunInPanel = kBytes + kPanel * 8;
constexpr int kGroups = kRun / 4;

__m512 absolute(__m512 x) {
  return _mm512_abs_ps(x);
}

// 32 numbers → bytes and their scale.
void lay_run(__m512 low, __m512 high, std::uint8_t* bytes, float* scale) {
  const float largest = _mm512_reduce_max_ps(_mm512_max_ps(absolute(low), absolute(high)));
  *scale = largest / 127;
  const __m512 inverse = _mm512_set1_ps(largest > 0 ? 127 / largest : 0);
  const __m256i middle = _mm256_set1_epi8(static_cast<char>(128));
  const auto whole = [&](__m512 x) {
    return _mm512_cvtsepi32_epi8(_mm512_cvtps_epi32(_mm512_mul_ps(x, inverse)));
  };
  const __m256i both = _mm256_set_m128i(whole(high), whole(low));
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(bytes), _mm256_xor_si256(both, middle));
}

// `at` is a multiple of kRun; a last run that `count` does not fill is filled with zeros.
void pack_rows(const float* const* source, std::int64_t rows, std::int64_t count, std::int64_t at,
               void* block) {
  for (std::int64_t r = 0; r < rows; ++r) {
    auto* const row = static_cast<std::uint8_t*>(block) + r * kLeftRow;
    auto* const scales = reinterpret_cast<float*>(row + kScales);
    const float* const in = source[r];
    for (std::int64_t i = 0; i < count; i += kRun) {
      const std::int64_t left = in == nullptr ? 0 : std::min(kRun, count - i);
      const auto mask = static_cast<__mmask32>((std::uint64_t{1} << left) - 1);
      const float* const from = in == nullptr ? nullptr : in + i;
      lay_run(
          _mm512_maskz_loadu_ps(static_cast<__mmask16>(mask), from),
          _mm512_maskz_loadu_ps(static_cast<__mmask16>(mask >> 16), from == nullptr ? nullptr : from + 16),
          row + at + i, scales + (at + i) / kRun);
    }
  }
}

void finish_depth(std::int64_t, std::int64_t, void*) {}  // pack_rows has filled the last run

// Groups of four rows of a run of a panel, column by column, and what belongs to them.
void store_run(const __m512i (&groups)[kGroups], __m512 scales, std::byte* run) {
  __m512i sums = _mm512_setzero_si512();
  const __m512i ones = _mm512_set1_epi8(1);
  for (int g = 0; g < kGroups; ++g) {
    _mm512_storeu_si512(run + g * 64, groups[g]);
    sums = _mm512_dpbusd_epi32(sums, ones, groups[g]);
  }
  _mm512_storeu_ps(run + kBytes, scales);
  _mm512_storeu_si512(run + kBytes + kPanel * 4,
                      _mm512_sub_epi32(_mm512_setzero_si512(), _mm512_slli_epi32(sums, 7)));
}

// [4][16] bytes → [16][4].
__m512i by_columns(__m512i rows) {
  const auto quarters = _mm512_set_epi32(15, 11, 7, 3, 14, 10, 6, 2, 13, 9, 5, 1, 12, 8, 4, 0);
  const auto bytes =
      _mm512_broadcast_i32x4(_mm_set_epi8(15, 11, 7, 3, 14, 10, 6, 2, 13, 9, 5, 1, 12, 8, 4, 0));
  return _mm512_shuffle_epi8(_mm512_permutexvar_epi32(quarters, rows), bytes);
}

void pack_int8(const std::byte* source, std::int64_t runs, std::byte* panel) {
  for (std::int64_t i = 0; i < runs; ++i) {
    const std::byte* const from = source + i * kRunBytes;
    const __m512 scales = _mm512_castsi512_ps(_mm512_slli_epi32(
        _mm512_cvtepu16_epi32(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(from))), 16));
    __m512i groups[kGroups];
    for (int g = 0; g < kGroups; ++g) groups[g] = by_columns(_mm512_loadu_si512(from + 2 * kPanel + g * 64));
    store_run(groups, scales, panel + i * kRunInPanel);
  }
}

// Of weights in another type, such as a LoRA's factors: rounded as packed_weights.cc rounds, but for a scale of float32.
template <typename Load>
void pack_rounded(const Load& load, std::int64_t depth, std::byte* panel) {
  for (std::int64_t begin = 0; begin < depth; begin += kRun, panel += kRunInPanel) {
    __m512 rows[kRun];
    __m512 largest = _mm512_setzero_ps();
    for (std::int64_t k = 0; k < kRun; ++k) {
      rows[k] = begin + k < depth ? load(begin + k) : _mm512_setzero_ps();
      largest = _mm512_max_ps(largest, absolute(rows[k]));
    }
    const __mmask16 some = _mm512_cmp_ps_mask(largest, _mm512_setzero_ps(), _CMP_GT_OQ);
    const __m512 inverse = _mm512_maskz_div_ps(some, _mm512_set1_ps(127), largest);
    __m512i groups[kGroups];
    for (int g = 0; g < kGroups; ++g) {
      __m512i four = _mm512_setzero_si512();
      for (int k = 3; k >= 0; --k) {
        const __m512i whole = _mm512_cvtps_epi32(_mm512_mul_ps(rows[g * 4 + k], inverse));
        four = _mm512_or_si512(_mm512_slli_epi32(four, 8), _mm512_and_si512(whole, _mm512_set1_epi32(255)));
      }
      groups[g] = four;
    }
    store_run(groups, _mm512_div_ps(largest, _mm512_set1_ps(127)), panel);
  }
}

void pack_panel(const void* source, Number number, std::int64_t depth, void* panel) {
  auto* const to = static_cast<std::byte*>(panel);
  switch (number) {
    case Number::kInt8:
      return pack_int8(static_cast<const std::byte*>(source), depth / kRun, to);
    case Number::kFloat32: {
      const auto* in = static_cast<const float*>(source);
      return pack_rounded([in](std::int64_t k) { return _mm512_loadu_ps(in + k * kPanel); }, depth, to);
    }
    case Number::kFloat16: {
      const auto* in = static_cast<const __m256i*>(source);
      return pack_rounded([in](std::int64_t k) { return _mm512_cvtph_ps(_mm256_loadu_si256(in + k)); }, depth,
                          to);
    }
    case Number::kBfloat16: {
      const auto* in = static_cast<const __m256i*>(source);
      return pack_rounded(
          [in](std::int64_t k) {
            return _mm512_castsi512_ps(
                _mm512_slli_epi32(_mm512_cvtepu16_epi32(_mm256_loadu_si256(in + k)), 16));
          },
          depth, to);
    }
  }
}

// As Note [register tile] in block_simd.cc; 12 sums of a run and 12 of all runs are in registers.
constexpr int kRows = 6, kPairs = 2;

template <int kTileRows, int kTilePanels>
inline void tile(const std::byte* left, const std::byte* right, std::int64_t panel_stride, std::int64_t runs,
                 float* result, std::int64_t stride, bool add) {
  __m512 sums[kTileRows][kTilePanels];
#pragma GCC unroll 16
  for (int r = 0; r < kTileRows; ++r) {
#pragma GCC unroll 16
    for (int p = 0; p < kTilePanels; ++p)
      sums[r][p] = add ? _mm512_loadu_ps(result + r * stride + p * kPanel) : _mm512_setzero_ps();
  }
  for (std::int64_t i = 0; i < runs; ++i) {
    const std::byte* const run = right + i * kRunInPanel;
    __m512i whole[kTileRows][kTilePanels];
#pragma GCC unroll 16
    for (int p = 0; p < kTilePanels; ++p) {
      const __m512i begin = _mm512_loadu_si512(run + p * panel_stride + kBytes + kPanel * 4);
#pragma GCC unroll 16
      for (int r = 0; r < kTileRows; ++r) whole[r][p] = begin;
    }
#pragma GCC unroll 8
    for (int g = 0; g < kGroups; ++g) {
      __m512i columns[kTilePanels];
#pragma GCC unroll 16
      for (int p = 0; p < kTilePanels; ++p) columns[p] = _mm512_loadu_si512(run + p * panel_stride + g * 64);
#pragma GCC unroll 16
      for (int r = 0; r < kTileRows; ++r) {
        std::int32_t four = 0;
        std::memcpy(&four, left + r * kLeftRow + i * kRun + g * 4, sizeof(four));
        const __m512i x = _mm512_set1_epi32(four);
#pragma GCC unroll 16
        for (int p = 0; p < kTilePanels; ++p) whole[r][p] = _mm512_dpbusd_epi32(whole[r][p], x, columns[p]);
      }
    }
    __m512 scales[kTilePanels];
#pragma GCC unroll 16
    for (int p = 0; p < kTilePanels; ++p) scales[p] = _mm512_loadu_ps(run + p * panel_stride + kBytes);
#pragma GCC unroll 16
    for (int r = 0; r < kTileRows; ++r) {
      float scale = 0;
      std::memcpy(&scale, left + r * kLeftRow + kScales + i * 4, sizeof(scale));
      const __m512 of_row = _mm512_set1_ps(scale);
#pragma GCC unroll 16
      for (int p = 0; p < kTilePanels; ++p)
        sums[r][p] =
            _mm512_fmadd_ps(_mm512_cvtepi32_ps(whole[r][p]), _mm512_mul_ps(of_row, scales[p]), sums[r][p]);
    }
  }
#pragma GCC unroll 16
  for (int r = 0; r < kTileRows; ++r) {
#pragma GCC unroll 16
    for (int p = 0; p < kTilePanels; ++p) _mm512_storeu_ps(result + r * stride + p * kPanel, sums[r][p]);
  }
}

#include "kernels/product/row_tiles.inc"

void multiply(const void* left, std::int64_t rows, const void* right, std::int64_t panels, std::int64_t depth,
              float* result, std::int64_t stride, bool add) {
  multiply_tiles(static_cast<const std::byte*>(left), rows, static_cast<const std::byte*>(right), panels,
                 round_up(depth, kDepthStep) * kPanel * 2, round_up(depth, kRun) / kRun, result, stride, add);
}

#pragma GCC pop_options

}  // namespace

const BlockKernel* vnni_block_kernel() {
  static constexpr BlockKernel kKernel = {.name = "int8",
                                          .precision = Precision::kInt8,
                                          .left_is_floats = false,
                                          .number_bytes = 2,  // with the scales
                                          .is_slower_than_winograd = true,
                                          .pack_rows = pack_rows,
                                          .finish_depth = finish_depth,
                                          .pack_panel = pack_panel,
                                          .pack_columns = nullptr,
                                          .pack_transposed = nullptr,
                                          .multiply = multiply};
  // GCC's check looks at what the system saves, too.
  static const bool available =
      __builtin_cpu_supports("avx512vnni") != 0 && __builtin_cpu_supports("avx512bw") != 0 &&
      __builtin_cpu_supports("avx512vl") != 0 && __builtin_cpu_supports("avx512dq") != 0;
  return available && !is_simd_limited() ? &kKernel : nullptr;
}

}  // namespace lowrank::kernels

#else

namespace lowrank::kernels {
const BlockKernel* vnni_block_kernel() {
  return nullptr;
}
}  // namespace lowrank::kernels

#endif
