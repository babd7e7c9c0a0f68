#include "kernels/product/block_kernel.h"

namespace lowrank::kernels {

const BlockKernel& block_kernel() {
  static const BlockKernel& fastest =
      amx_block_kernel() != nullptr ? *amx_block_kernel() : simd_block_kernel();
  return fastest;
}

std::vector<const BlockKernel*> block_kernels() {
  std::vector<const BlockKernel*> all = {&simd_block_kernel()};
  if (amx_block_kernel() != nullptr) all.push_back(amx_block_kernel());
  return all;
}

}  // namespace lowrank::kernels
