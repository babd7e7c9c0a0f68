// Normalisations over float32 in channels-last order, each in two passes over memory.
#pragma once

#include <cstdint>

namespace lowrank::kernels {

struct NormWeights {
  const float* scale = nullptr;  // [channels]
  const float* shift = nullptr;
  double eps = 1e-5;
};

enum class AfterNorm { kNothing, kSilu };

// x [batch][pixels][channels] → result of the same shape: group normalisation (Wu & He 2018), then SiLU if
// wanted. Sums over 32 KB strips in float32, over strips in float64; the same on any number of threads.
// result may be x.
void group_norm(const float* x, std::int64_t batch, std::int64_t pixels, std::int64_t channels,
                std::int64_t groups, const NormWeights& weights, AfterNorm after, float* result, int threads);

// x [rows][channels] → result: layer normalisation of each row. result may be x.
void layer_norm(const float* x, std::int64_t rows, std::int64_t channels, const NormWeights& weights,
                float* result, int threads);

}  // namespace lowrank::kernels
