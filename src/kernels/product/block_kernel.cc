#include "kernels/product/block_kernel.h"

#include <cstdlib>
#include <string_view>

namespace lowrank::kernels {
namespace {

// For tests on processors that lack an instruction.
bool is_emulated(const char* variable) {
  const char* const value = std::getenv(variable);
  return value != nullptr && std::string_view(value) == "1";
}

const BlockKernel* fastest_bf16() {
  if (amx_bf16_block_kernel() != nullptr) return amx_bf16_block_kernel();
  if (bf16_block_kernel() != nullptr) return bf16_block_kernel();
  return is_emulated("LOWRANK_EMULATE_BF16") ? &emulated_bf16_block_kernel() : nullptr;
}

const BlockKernel* fastest_int8() {
  if (vnni_block_kernel() != nullptr) return vnni_block_kernel();
  return is_emulated("LOWRANK_EMULATE_INT8") ? &emulated_int8_block_kernel() : nullptr;
}

}  // namespace

const BlockKernel& block_kernel() {
  static const BlockKernel& fastest =
      amx_block_kernel() != nullptr ? *amx_block_kernel() : simd_block_kernel();
  return fastest;
}

const BlockKernel* block_kernel(Precision precision) {
  static const BlockKernel *const bf16 = fastest_bf16(), *const int8 = fastest_int8();
  switch (precision) {
    case Precision::kBfloat16:
      return bf16;
    case Precision::kInt8:
      return int8;
    case Precision::kFloat32:
      break;
  }
  return &block_kernel();
}

std::vector<const BlockKernel*> block_kernels() {
  std::vector<const BlockKernel*> all = {&simd_block_kernel(), &emulated_bf16_block_kernel()};
  for (const BlockKernel* kernel : {amx_block_kernel(), bf16_block_kernel(), amx_bf16_block_kernel()})
    if (kernel != nullptr) all.push_back(kernel);
  return all;
}

}  // namespace lowrank::kernels
