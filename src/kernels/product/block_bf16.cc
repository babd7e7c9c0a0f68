// The block product in bfloat16 on AVX-512.
//
// Note [bfloat16 products]: vdpbf16ps adds two products of bfloat16 to each of 16 float32 sums, twice the products of a
// float32 multiply-add. Weights of float16 lose 3 of their 11 significant bits and activations 16 of 24: a product is
// right within about 2⁻⁸, and what is drawn differs. Users choose it; sums, and all that is no product, stay float32.
#include "kernels/product/block_kernel.h"

// Clang does not know push_options: it takes the emulated one.
#if defined(__x86_64__) && defined(__linux__) && defined(__GNUC__) && !defined(__clang__)

#include <immintrin.h>

#include <bit>
#include <cstring>

#include "kernels/simd_limit.h"

namespace lowrank::kernels {
namespace {

// GCC 12 takes the intrinsics' own undefined vectors for an oversight of ours (its bug 105593).
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
// Vectors are passed between functions of this file only.
#pragma GCC diagnostic ignored "-Wpsabi"
#pragma GCC push_options
#pragma GCC target("avx512f,avx512bw,avx512vl,avx512dq,avx512bf16,f16c,fma")

#include "kernels/product/bf16_pairs.inc"

void pack_rows(const float* const* source, std::int64_t rows, std::int64_t count, std::int64_t at,
               void* block) {
  for (std::int64_t r = 0; r < rows; ++r) {
    auto* const row =
        reinterpret_cast<std::uint16_t*>(static_cast<std::byte*>(block) + r * kBf16RowBytes) + at;
    const float* const in = source[r];
    if (in == nullptr) {
      std::memset(row, 0, static_cast<std::size_t>(count) * 2);
      continue;
    }
    std::int64_t i = 0;
    for (; i + 32 <= count; i += 32)
      _mm512_storeu_si512(row + i, to_bfloat16(_mm512_loadu_ps(in + i), _mm512_loadu_ps(in + i + 16)));
    if (i == count) continue;
    const __mmask32 mask = first(count - i);
    _mm512_mask_storeu_epi16(
        row + i, mask,
        to_bfloat16(_mm512_maskz_loadu_ps(static_cast<__mmask16>(mask), in + i),
                    _mm512_maskz_loadu_ps(static_cast<__mmask16>(mask >> 16), in + i + 16)));
  }
}

void finish_depth(std::int64_t rows, std::int64_t depth, void* block) {
  zero_to_step(rows, depth, kBf16RowBytes, block);
}

auto into_panel(void* panel) {
  return [panel](__m512 even, __m512 odd, std::int64_t k) {
    _mm512_storeu_si512(static_cast<std::byte*>(panel) + k * kPanel * 2, interleave(to_bfloat16(even, odd)));
  };
}

void pack_panel(const void* source, Number number, std::int64_t depth, void* panel) {
  pairs_of_panel(source, number, depth, into_panel(panel));
}
void pack_columns(const float* source, std::int64_t stride, std::int64_t depth, std::int64_t columns,
                  void* panel) {
  pairs_of_columns(source, stride, depth, columns, into_panel(panel));
}
void pack_transposed(const float* source, std::int64_t stride, std::int64_t depth, std::int64_t columns,
                     void* panel) {
  pairs_of_transposed(source, stride, depth, columns, into_panel(panel));
}

// As Note [register tile] in block_simd.cc: 24 of 32 registers hold sums.
constexpr int kRows = 12, kPairs = 2;
constexpr std::int64_t kLeftRow = kBf16RowBytes;

template <int kTileRows, int kTilePanels>
inline void tile(const std::byte* left, const std::byte* right, std::int64_t panel_stride, std::int64_t pairs,
                 float* result, std::int64_t stride, bool add) {
  __m512 sums[kTileRows][kTilePanels];
#pragma GCC unroll 16
  for (int r = 0; r < kTileRows; ++r) {
#pragma GCC unroll 16
    for (int p = 0; p < kTilePanels; ++p)
      sums[r][p] = add ? _mm512_loadu_ps(result + r * stride + p * kPanel) : _mm512_setzero_ps();
  }
  for (std::int64_t k = 0; k < pairs; ++k) {
    __m512bh columns[kTilePanels];
#pragma GCC unroll 16
    for (int p = 0; p < kTilePanels; ++p)
      columns[p] = std::bit_cast<__m512bh>(_mm512_loadu_si512(right + p * panel_stride + k * 64));
#pragma GCC unroll 16
    for (int r = 0; r < kTileRows; ++r) {
      std::int32_t pair = 0;
      std::memcpy(&pair, left + r * kLeftRow + k * 4, sizeof(pair));
      const auto x = std::bit_cast<__m512bh>(_mm512_set1_epi32(pair));
#pragma GCC unroll 16
      for (int p = 0; p < kTilePanels; ++p) sums[r][p] = _mm512_dpbf16_ps(sums[r][p], x, columns[p]);
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
                 round_up(depth, kDepthStep) * kPanel * 2, (depth + 1) / 2, result, stride, add);
}

#pragma GCC pop_options

// Source: Intel's programming reference, leaf 7. The system must save the registers too: leaf 13's mask of them.
bool has_bf16() {
  unsigned a = 0, b = 0, c = 0, d = 0;
  __asm__("cpuid" : "=a"(a), "=b"(b), "=c"(c), "=d"(d) : "a"(1), "c"(0));
  constexpr unsigned kOsxsave = 1U << 27;
  if ((c & kOsxsave) == 0) return false;
  unsigned low = 0, high = 0;
  __asm__("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
  constexpr unsigned kAvx512State = 0xE6;
  if ((low & kAvx512State) != kAvx512State) return false;
  __asm__("cpuid" : "=a"(a), "=b"(b), "=c"(c), "=d"(d) : "a"(7), "c"(0));
  constexpr unsigned kAvx512F = 1U << 16, kAvx512Dq = 1U << 17, kAvx512Bw = 1U << 30, kAvx512Vl = 1U << 31;
  constexpr unsigned kNeeded = kAvx512F | kAvx512Dq | kAvx512Bw | kAvx512Vl;
  if (a < 1 || (b & kNeeded) != kNeeded) return false;
  __asm__("cpuid" : "=a"(a), "=b"(b), "=c"(c), "=d"(d) : "a"(7), "c"(1));
  constexpr unsigned kAvx512Bf16 = 1U << 5;
  return (a & kAvx512Bf16) != 0;
}

}  // namespace

const BlockKernel* bf16_block_kernel() {
  static constexpr BlockKernel kKernel = {.name = "bf16",
                                          .precision = Precision::kBfloat16,
                                          .left_is_floats = false,
                                          .number_bytes = 2,
                                          .is_slower_than_winograd = true,
                                          .pack_rows = pack_rows,
                                          .finish_depth = finish_depth,
                                          .pack_panel = pack_panel,
                                          .pack_columns = pack_columns,
                                          .pack_transposed = pack_transposed,
                                          .multiply = multiply};
  static const bool available = has_bf16();
  return available && !is_simd_limited() ? &kKernel : nullptr;
}

}  // namespace lowrank::kernels

#else

namespace lowrank::kernels {
const BlockKernel* bf16_block_kernel() {
  return nullptr;
}
}  // namespace lowrank::kernels

#endif
