// Numbers kept in 8 bits, in blocks of 256 with a scale each: the dynamic exponent code of Dettmers et al. 2021
// (arXiv:2110.02861), where the leading zeros of a code give its power of ten and the rest its fraction.
#pragma once

#include <ATen/core/Tensor.h>

#include <array>

namespace lowrank::training {

enum class Signed { kNo, kYes };

// The 256 values of the codes, ascending, from −1 or 0 to 1.
const std::array<float, 256>& eight_bit_values(Signed is_signed);

// x ≈ value[code] · scale of its block.
struct EightBits {
  at::Tensor codes;   // uint8 [n]
  at::Tensor scales;  // float32 [blocks]: the largest magnitude of each block, 1 of a block of zeros
};
EightBits eight_bit_zeros(std::int64_t count, Signed is_signed);
at::Tensor unpacked(const EightBits& packed, Signed is_signed);     // float32 [n]
void pack(EightBits& into, const at::Tensor& x, Signed is_signed);  // to the nearest value

}  // namespace lowrank::training
