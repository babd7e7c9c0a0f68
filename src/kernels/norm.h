// Normalisations over float32 in channels-last order, each in two passes over memory.
#pragma once

#include <cstdint>
#include <vector>

namespace lowrank::kernels {

struct NormWeights {
  const float* scale = nullptr;  // [channels]
  const float* shift = nullptr;
  double eps = 1e-5;
};

enum class AfterNorm { kNothing, kSilu };

// Group normalisation (Wu & He 2018) as one difference, product and sum for each image and channel.
class GroupFactors {
 public:
  // Of x [batch][pixels][channels]. Sums over 32 KB strips in float32, over strips in float64; the same on
  // any number of threads.
  GroupFactors(const float* x, std::int64_t batch, std::int64_t pixels, std::int64_t channels,
               std::int64_t groups, const NormWeights& weights, int threads);

  // Normalises `pixels` pixels of image `image`, then applies SiLU if wanted. result may be x.
  void apply(const float* x, std::int64_t image, std::int64_t pixels, AfterNorm after, float* result,
             int threads) const;

 private:
  std::int64_t batch_, channels_;
  std::vector<float> factors_;  // means, scales, shifts, each [batch][channels]
};

// x [rows][channels] → result: layer normalisation of each row. result may be x.
void layer_norm(const float* x, std::int64_t rows, std::int64_t channels, const NormWeights& weights,
                float* result, int threads);

}  // namespace lowrank::kernels
