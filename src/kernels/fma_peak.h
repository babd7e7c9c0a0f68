// The limit that kernels are measured against.
#pragma once

namespace lowrank::kernels {

// Makes float32 multiply-adds on `threads` threads, on the widest vectors and without touching memory, for
// some tenths of a second. Returns how many floating-point operations they were, two each: divided by the
// time, the peak.
double fma_flops(int threads);

}  // namespace lowrank::kernels
