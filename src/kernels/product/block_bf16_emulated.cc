// Products of bfloat16 on any processor: the blocks of portable SIMD, with numbers rounded when they are laid there. A
// product of two bfloat16 is exact in float32, so only the order of the sums differs from the real thing.
#include <bit>
#include <cstdint>

#include "kernels/product/block_kernel.h"

namespace lowrank::kernels {
namespace {

// To the nearest, ties to even.
float rounded(float x) {
  const auto bits = std::bit_cast<std::uint32_t>(x);
  if ((bits & 0x7F800000U) == 0x7F800000U) return x;  // infinite, or no number
  return std::bit_cast<float>((bits + 0x7FFFU + (bits >> 16 & 1U)) & 0xFFFF0000U);
}

void round_all(void* numbers, std::int64_t count) {
  auto* const x = static_cast<float*>(numbers);
  for (std::int64_t i = 0; i < count; ++i) x[i] = rounded(x[i]);
}

void pack_rows(const float* const* source, std::int64_t rows, std::int64_t count, std::int64_t at,
               void* block) {
  simd_block_kernel().pack_rows(source, rows, count, at, block);
  for (std::int64_t r = 0; r < rows; ++r)
    round_all(static_cast<float*>(block) + r * (kRowBytes / 4) + at, count);
}

void pack_panel(const void* source, Number number, std::int64_t depth, void* panel) {
  simd_block_kernel().pack_panel(source, number, depth, panel);
  round_all(panel, depth * kPanel);
}

void pack_columns(const float* source, std::int64_t stride, std::int64_t depth, std::int64_t columns,
                  void* panel) {
  simd_block_kernel().pack_columns(source, stride, depth, columns, panel);
  round_all(panel, depth * kPanel);
}

void pack_transposed(const float* source, std::int64_t stride, std::int64_t depth, std::int64_t columns,
                     void* panel) {
  simd_block_kernel().pack_transposed(source, stride, depth, columns, panel);
  round_all(panel, depth * kPanel);
}

}  // namespace

const BlockKernel& emulated_bf16_block_kernel() {
  static const BlockKernel kernel = [] {
    BlockKernel made = simd_block_kernel();
    made.name = "bf16 emulated";
    made.precision = Precision::kBfloat16;
    made.left_is_floats = false;
    made.pack_rows = pack_rows;
    made.pack_panel = pack_panel;
    made.pack_columns = pack_columns;
    made.pack_transposed = pack_transposed;
    return made;
  }();
  return kernel;
}

}  // namespace lowrank::kernels
