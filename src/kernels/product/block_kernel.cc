#include "kernels/product/block_kernel.h"

#include <cstdlib>
#include <string_view>

namespace lowrank::kernels {
namespace {

const BlockKernel* fastest_bf16() {
  if (amx_bf16_block_kernel() != nullptr) return amx_bf16_block_kernel();
  if (bf16_block_kernel() != nullptr) return bf16_block_kernel();
  const char* const emulated = std::getenv("LOWRANK_EMULATE_BF16");
  return emulated != nullptr && std::string_view(emulated) == "1" ? &emulated_bf16_block_kernel() : nullptr;
}

}  // namespace

const BlockKernel& block_kernel() {
  static const BlockKernel& fastest =
      amx_block_kernel() != nullptr ? *amx_block_kernel() : simd_block_kernel();
  return fastest;
}

const BlockKernel* block_kernel(Precision precision) {
  static const BlockKernel* const bf16 = fastest_bf16();
  return precision == Precision::kBfloat16 ? bf16 : &block_kernel();
}

std::vector<const BlockKernel*> block_kernels() {
  std::vector<const BlockKernel*> all = {&simd_block_kernel(), &emulated_bf16_block_kernel()};
  for (const BlockKernel* kernel : {amx_block_kernel(), bf16_block_kernel(), amx_bf16_block_kernel()})
    if (kernel != nullptr) all.push_back(kernel);
  return all;
}

}  // namespace lowrank::kernels
