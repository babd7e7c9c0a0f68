// 8-bit products on any processor: the blocks of portable SIMD, with rows and weights rounded when they are laid there as
// Note [8-bit products] in block_int8.cc says.
#include <algorithm>
#include <cmath>

#include "kernels/product/block_kernel.h"

namespace lowrank::kernels {
namespace {

// `count` ≤ kRun numbers, `step` apart, to whole numbers times one scale.
void round_run(float* x, std::int64_t count, std::int64_t step) {
  float largest = 0;
  for (std::int64_t k = 0; k < count; ++k) largest = std::max(largest, std::abs(x[k * step]));
  const float inverse = largest > 0 ? 127 / largest : 0, scale = largest / 127;
  for (std::int64_t k = 0; k < count; ++k)
    x[k * step] = static_cast<float>(std::lrint(x[k * step] * inverse)) * scale;
}

void pack_rows(const float* const* source, std::int64_t rows, std::int64_t count, std::int64_t at,
               void* block) {
  simd_block_kernel().pack_rows(source, rows, count, at, block);
  for (std::int64_t r = 0; r < rows; ++r) {
    float* const row = static_cast<float*>(block) + r * (kRowBytes / 4) + at;
    for (std::int64_t i = 0; i < count; i += kRun) round_run(row + i, std::min(kRun, count - i), 1);
  }
}

void pack_panel(const void* source, Number number, std::int64_t depth, void* panel) {
  simd_block_kernel().pack_panel(source, number, depth, panel);
  if (number == Number::kInt8) return;
  auto* const x = static_cast<float*>(panel);
  for (std::int64_t begin = 0; begin < depth; begin += kRun)
    for (std::int64_t c = 0; c < kPanel; ++c)
      round_run(x + begin * kPanel + c, std::min(kRun, depth - begin), kPanel);
}

}  // namespace

const BlockKernel& emulated_int8_block_kernel() {
  static const BlockKernel kernel = [] {
    BlockKernel made = simd_block_kernel();
    made.name = "int8 emulated";
    made.precision = Precision::kInt8;
    made.left_is_floats = false;
    made.pack_rows = pack_rows;
    made.pack_panel = pack_panel;
    made.pack_columns = nullptr;
    made.pack_transposed = nullptr;
    return made;
  }();
  return kernel;
}

}  // namespace lowrank::kernels
