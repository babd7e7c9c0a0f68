// A processor made to do without its newest instructions: for measuring, and for pictures that equal another
// machine's byte for byte. Sums of vectors of another width round differently in their last bit.
#pragma once

namespace lowrank::kernels {

// $LOWRANK_SIMD, one of SSE4, AVX2 and AVX3 (AVX-512): kernels use nothing beyond it from now on. Nothing happens where
// it is not set; throws Error(kBadInput) for another word. Call before kernels run.
void limit_simd_as_asked();

// Whether $LOWRANK_SIMD has limited this process; the matrix unit then stays off as well.
bool is_simd_limited();

}  // namespace lowrank::kernels
