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

// What group normalisation (Wu & He 2018) needs to know of maps: the sums of each group's numbers and of their
// squares. Rows may come strip by strip; the result is the same. Sums over 32 KB in float32, over those in float64;
// the same on any number of threads.
class GroupMoments {
 public:
  GroupMoments(std::int64_t batch, std::int64_t height, std::int64_t width, std::int64_t channels,
               std::int64_t groups);

  // x [rows][width][channels], rows `first` … of image `image`. Strips begin at multiples of row_step().
  void add(const float* x, std::int64_t image, std::int64_t first, std::int64_t rows, int threads);
  std::int64_t row_step() const { return step_; }

 private:
  friend class GroupFactors;
  struct Sums {
    double sum = 0, square = 0;
  };
  static void add_pixels(const float* x, std::int64_t pixels, std::int64_t channels, std::int64_t groups,
                         Sums* sums);

  std::int64_t batch_, height_, width_, channels_, groups_, step_, items_;
  std::vector<Sums> sums_;  // [batch][items][groups]
};

// Group normalisation as one difference, product and sum for each image and channel.
class GroupFactors {
 public:
  GroupFactors(const GroupMoments& moments, const NormWeights& weights);
  // Of x [batch][height][width][channels].
  GroupFactors(const float* x, std::int64_t batch, std::int64_t height, std::int64_t width,
               std::int64_t channels, std::int64_t groups, const NormWeights& weights, int threads);

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
