// For measuring only: a processor made to do without its newest instructions.
#pragma once

namespace lowrank::kernels {

// $LOWRANK_SIMD, one of SSE4, AVX2 and AVX3 (AVX-512): kernels use nothing beyond it from now on. Nothing happens where
// it is not set; throws Error(kBadInput) for another word. Call before kernels run.
void limit_simd_as_asked();

}  // namespace lowrank::kernels
