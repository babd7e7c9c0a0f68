// The block product on the matrix unit of Intel processors since Sapphire Rapids (AMX), which multiplies
// bfloat16.
//
// Note [split numbers]: a float x is the sum of two bfloat16, x = h + l with |x − h − l| ≤ 2⁻¹⁷|x|; a float16
// weight, of 11 significant bits, is such a sum exactly. So
//
//   a·b = aₕ·bₕ + aₗ·bₕ + aₕ·bₗ        within about 2⁻¹⁶|a·b|, summed in float32,
//
// where a float32 product has 2⁻²⁴ and the picture asks for 10⁻³. Three products of the matrix unit are still
// some five times faster than one of AVX-512's.
#include "kernels/product/block_kernel.h"

// Clang does not know push_options: it takes the portable version.
#if defined(__x86_64__) && defined(__linux__) && defined(__GNUC__) && !defined(__clang__)

#include <immintrin.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <bit>
#include <cstring>

#include "kernels/simd_limit.h"

namespace lowrank::kernels {
namespace {

constexpr std::int64_t kTile = 16;                   // rows of a tile, and columns of a result tile
constexpr std::int64_t kTileBytes = 1024;            // 16 rows of 64 bytes
constexpr std::int64_t kLowBytes = kBlockDepth * 2;  // in a left row: high halves, then low halves

// Source: Intel's programming reference; the kernel's Documentation/arch/x86/xstate.rst for the permission.
constexpr int kArchRequestPermission = 0x1023, kTileData = 18;

// GCC 12 takes the intrinsics' own undefined vectors for an oversight of ours (its bug 105593).
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
// Vectors are passed between functions of this file only.
#pragma GCC diagnostic ignored "-Wpsabi"
#pragma GCC push_options
#pragma GCC target("avx512f,avx512bw,avx512vl,avx512dq,avx512bf16,f16c,fma,amx-tile,amx-bf16")

void configure_tiles() {
  struct alignas(64) {
    std::uint8_t palette = 1, start_row = 0, reserved[14] = {};
    std::uint16_t row_bytes[16] = {64, 64, 64, 64, 64, 64, 64, 64};
    std::uint8_t rows[16] = {16, 16, 16, 16, 16, 16, 16, 16};
  } config;
  _tile_loadconfig(&config);
}

#include "kernels/product/bf16_pairs.inc"

// The high halves of 32 floats in order, and what they leave.
struct Split {
  __m512i high, low;
};

inline Split split(__m512 x0, __m512 x1) {
  const __m512i high = to_bfloat16(x0, x1);
  const __m512 rest0 = _mm512_sub_ps(x0, widen(_mm512_castsi512_si256(high)));
  const __m512 rest1 = _mm512_sub_ps(x1, widen(_mm512_extracti64x4_epi64(high, 1)));
  return {high, to_bfloat16(rest0, rest1)};
}

void pack_rows(const float* const* source, std::int64_t rows, std::int64_t count, std::int64_t at,
               void* block) {
  for (std::int64_t r = 0; r < rows; ++r) {
    auto* const row = static_cast<std::uint16_t*>(block) + r * (kRowBytes / 2) + at;
    for (std::int64_t i = 0; i < count; i += 32) {
      const __mmask32 mask = first(count - i);
      Split halves{_mm512_setzero_si512(), _mm512_setzero_si512()};
      if (source[r] != nullptr) {
        halves = split(_mm512_maskz_loadu_ps(static_cast<__mmask16>(mask), source[r] + i),
                       _mm512_maskz_loadu_ps(static_cast<__mmask16>(mask >> 16), source[r] + i + 16));
      }
      _mm512_mask_storeu_epi16(row + i, mask, halves.high);
      _mm512_mask_storeu_epi16(row + i + kBlockDepth, mask, halves.low);
    }
  }
}

void finish_depth(std::int64_t rows, std::int64_t depth, void* block) {
  zero_to_step(rows, depth, kRowBytes, block);
  zero_to_step(rows, depth, kRowBytes, static_cast<std::byte*>(block) + kLowBytes);
}

// Of kDepthStep depths of a panel first the tile of the high halves, then that of the low ones.
auto into_panel(void* panel) {
  return [panel](__m512 even, __m512 odd, std::int64_t k) {
    const Split halves = split(even, odd);
    char* const at = static_cast<char*>(panel) + k / kDepthStep * 2 * kTileBytes + k % kDepthStep / 2 * 64;
    _mm512_storeu_si512(at, interleave(halves.high));
    _mm512_storeu_si512(at + kTileBytes, interleave(halves.low));
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

// How many bfloat16 a number is made of: one, or two as split numbers.
enum class Halves { kOne = 1, kTwo = 2 };

// Tiles 0–3: sums. 4, 5: two row tiles of the left block. 6, 7: two panels of the right.
template <Halves kHalves, int kDown, int kAcross>
inline void tiles(const char* left, const char* right, std::int64_t panel_stride, std::int64_t steps,
                  float* result, std::int64_t stride, bool add) {
  constexpr std::int64_t kRow = kHalves == Halves::kTwo ? kRowBytes : kBf16RowBytes;
  constexpr std::int64_t kStepBytes = static_cast<int>(kHalves) * kTileBytes;
  constexpr auto kLeftStride = static_cast<std::size_t>(kRow);
  const auto result_stride = static_cast<std::size_t>(stride) * 4;
  const char* const left1 = left + kTile * kRow;
  const char* const right1 = right + panel_stride;
  float* const result1 = result + kTile * stride;
  if (add) {
    _tile_loadd(0, result, result_stride);
    if constexpr (kAcross > 1) _tile_loadd(1, result + kTile, result_stride);
    if constexpr (kDown > 1) _tile_loadd(2, result1, result_stride);
    if constexpr (kDown > 1 && kAcross > 1) _tile_loadd(3, result1 + kTile, result_stride);
  } else {
    _tile_zero(0);
    _tile_zero(1);
    _tile_zero(2);
    _tile_zero(3);
  }
  for (std::int64_t s = 0; s < steps; ++s) {
    const std::int64_t l = s * 64, r = s * kStepBytes;
    const auto multiply = []() {
      _tile_dpbf16ps(0, 4, 6);
      if constexpr (kAcross > 1) _tile_dpbf16ps(1, 4, 7);
      if constexpr (kDown > 1) _tile_dpbf16ps(2, 5, 6);
      if constexpr (kDown > 1 && kAcross > 1) _tile_dpbf16ps(3, 5, 7);
    };
    _tile_loadd(6, right + r, 64);
    if constexpr (kAcross > 1) _tile_loadd(7, right1 + r, 64);
    if constexpr (kHalves == Halves::kTwo) {  // low · high
      _tile_loadd(4, left + l + kLowBytes, kLeftStride);
      if constexpr (kDown > 1) _tile_loadd(5, left1 + l + kLowBytes, kLeftStride);
      multiply();
    }
    // high · high
    _tile_loadd(4, left + l, kLeftStride);
    if constexpr (kDown > 1) _tile_loadd(5, left1 + l, kLeftStride);
    multiply();
    if constexpr (kHalves == Halves::kTwo) {  // high · low
      _tile_loadd(6, right + r + kTileBytes, 64);
      if constexpr (kAcross > 1) _tile_loadd(7, right1 + r + kTileBytes, 64);
      multiply();
    }
  }
  _tile_stored(0, result, result_stride);
  if constexpr (kAcross > 1) _tile_stored(1, result + kTile, result_stride);
  if constexpr (kDown > 1) _tile_stored(2, result1, result_stride);
  if constexpr (kDown > 1 && kAcross > 1) _tile_stored(3, result1 + kTile, result_stride);
}

template <Halves kHalves, int kAcross>
inline void column_of_tiles(const char* left, std::int64_t rows, const char* right, std::int64_t panel_stride,
                            std::int64_t steps, float* result, std::int64_t stride, bool add) {
  for (std::int64_t r = 0; r < rows; r += 2 * kTile) {
    const char* const l = left + r * (kHalves == Halves::kTwo ? kRowBytes : kBf16RowBytes);
    if (rows - r > kTile) {
      tiles<kHalves, 2, kAcross>(l, right, panel_stride, steps, result + r * stride, stride, add);
    } else {
      tiles<kHalves, 1, kAcross>(l, right, panel_stride, steps, result + r * stride, stride, add);
    }
  }
}

template <Halves kHalves>
void multiply(const void* left, std::int64_t rows, const void* right, std::int64_t panels, std::int64_t depth,
              float* result, std::int64_t stride, bool add) {
  configure_tiles();
  const std::int64_t steps = round_up(depth, kDepthStep) / kDepthStep,
                     bytes = steps * static_cast<int>(kHalves) * kTileBytes;
  const auto* const l = static_cast<const char*>(left);
  const auto* const r = static_cast<const char*>(right);
  std::int64_t p = 0;
  for (; p + 2 <= panels; p += 2)
    column_of_tiles<kHalves, 2>(l, rows, r + p * bytes, bytes, steps, result + p * kPanel, stride, add);
  if (p < panels)
    column_of_tiles<kHalves, 1>(l, rows, r + p * bytes, bytes, steps, result + p * kPanel, stride, add);
  _tile_release();
}

#pragma GCC pop_options

bool has_matrix_unit() {
  if (bf16_block_kernel() == nullptr) return false;  // numbers are split with its instructions
  unsigned a = 0, b = 0, c = 0, d = 0;
  __asm__("cpuid" : "=a"(a), "=b"(b), "=c"(c), "=d"(d) : "a"(7), "c"(0));
  constexpr unsigned kAmxBf16 = 1U << 22, kAmxTile = 1U << 24;
  if ((d & kAmxBf16) == 0 || (d & kAmxTile) == 0) return false;
  return syscall(SYS_arch_prctl, kArchRequestPermission, kTileData) == 0;
}

}  // namespace

const BlockKernel* amx_block_kernel() {
  static constexpr BlockKernel kKernel = {.name = "amx",
                                          .precision = Precision::kFloat32,
                                          .left_is_floats = false,
                                          .number_bytes = 4,
                                          .is_slower_than_winograd = false,
                                          .pack_rows = pack_rows,
                                          .finish_depth = finish_depth,
                                          .pack_panel = pack_panel,
                                          .pack_columns = pack_columns,
                                          .pack_transposed = pack_transposed,
                                          .multiply = multiply<Halves::kTwo>};
  static const bool available = has_matrix_unit();
  return available && !is_simd_limited() ? &kKernel : nullptr;
}

// Its blocks are those of AVX-512's bfloat16, which every processor with a matrix unit has.
const BlockKernel* amx_bf16_block_kernel() {
  if (amx_block_kernel() == nullptr) return nullptr;
  static const BlockKernel kernel = [] {
    BlockKernel made = *bf16_block_kernel();
    made.name = "amx-bf16";
    made.is_slower_than_winograd = false;
    made.multiply = multiply<Halves::kOne>;
    return made;
  }();
  return &kernel;
}

}  // namespace lowrank::kernels

#else

namespace lowrank::kernels {
const BlockKernel* amx_block_kernel() {
  return nullptr;
}
const BlockKernel* amx_bf16_block_kernel() {
  return nullptr;
}
}  // namespace lowrank::kernels

#endif
