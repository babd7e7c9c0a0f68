// The end of a product: what happens to a block of sums on its way to the result.
#pragma once

#include <cstdint>

namespace lowrank::kernels {

// kGated: the weights are in PanelOrder::kGated; the result has half as many columns, value · gelu(gate) each
// (GEGLU, Shazeer 2020).
enum class Activation { kNone, kSilu, kGelu, kQuickGelu, kGated };

// result = activation(sum + bias + group_bias[row / rows_per_group]) + residual. Null pointers add nothing.
struct Epilogue {
  const float* bias = nullptr;        // [outputs]
  const float* group_bias = nullptr;  // [groups][outputs]
  std::int64_t rows_per_group = 1;
  const float* residual = nullptr;  // [rows], residual_stride apart; may be the result itself
  std::int64_t residual_stride = 0;
  Activation activation = Activation::kNone;
};

struct SumBlock {
  const float* sums = nullptr;  // as BlockKernel::multiply leaves them
  std::int64_t stride = 0;
  std::int64_t row = 0, rows = 0;        // of the whole result
  std::int64_t column = 0, columns = 0;  // outputs; of a gated product: of the result, half the sums
  std::int64_t outputs = 0;              // of the whole product
};

void finish_block(const SumBlock& block, const Epilogue& epilogue, float* result, std::int64_t stride);

}  // namespace lowrank::kernels
