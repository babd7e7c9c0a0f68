// The end of a product: what happens to a block of sums on its way to the result.
#pragma once

#include <cstdint>

#include "kernels/product/product.h"

namespace lowrank::kernels {

struct SumBlock {
  const float* sums = nullptr;  // as BlockKernel::multiply leaves them
  std::int64_t stride = 0;
  std::int64_t row = 0, rows = 0;        // of the whole result
  std::int64_t column = 0, columns = 0;  // outputs; of a gated product: of the result, half the sums
  std::int64_t outputs = 0;              // of the whole product
};

void finish_block(const SumBlock& block, const Epilogue& epilogue, float* result, std::int64_t stride);

}  // namespace lowrank::kernels
