// Normalisations against their definitions in float64.
#include "kernels/norm.h"

#include <gtest/gtest.h>

#include <cmath>

#include "naive.h"

namespace lowrank::kernels {
namespace {

using testing::close;
using testing::for_each_kernel;
using testing::random_numbers;

struct Statistics {
  double mean, variance;
};

template <typename At>
Statistics statistics(std::int64_t count, const At& at) {
  double mean = 0, variance = 0;
  for (std::int64_t i = 0; i < count; ++i) mean += at(i) / static_cast<double>(count);
  for (std::int64_t i = 0; i < count; ++i)
    variance += (at(i) - mean) * (at(i) - mean) / static_cast<double>(count);
  return {mean, variance};
}

TEST(GroupNorm, EqualsItsDefinition) {
  struct Case {
    std::int64_t batch, pixels, channels, groups;
  };
  for (const auto [batch, pixels, channels, groups] :
       {Case{1, 1, 32, 32}, {2, 3, 6, 2}, {3, 500, 40, 8}, {1, 4099, 20, 5}}) {
    auto x = random_numbers(batch * pixels * channels, 1);
    for (float& number : x) number = number * 2 + 5;
    const auto scale = random_numbers(channels, 2), shift = random_numbers(channels, 3);
    for (const AfterNorm after : {AfterNorm::kNothing, AfterNorm::kSilu}) {
      std::vector<double> exact(x.size());
      const std::int64_t width = channels / groups;
      for (std::int64_t b = 0; b < batch; ++b)
        for (std::int64_t g = 0; g < groups; ++g) {
          const auto place = [&](std::int64_t i) {
            return static_cast<std::size_t>((b * pixels + i / width) * channels + g * width + i % width);
          };
          const auto [mean, variance] =
              statistics(pixels * width, [&](std::int64_t i) { return static_cast<double>(x[place(i)]); });
          for (std::int64_t i = 0; i < pixels * width; ++i) {
            const std::size_t c = place(i) % static_cast<std::size_t>(channels);
            const double y = (static_cast<double>(x[place(i)]) - mean) / std::sqrt(variance + 1e-5) *
                                 static_cast<double>(scale[c]) +
                             static_cast<double>(shift[c]);
            exact[place(i)] = after == AfterNorm::kSilu ? y / (1 + std::exp(-y)) : y;
          }
        }
      for_each_kernel([&](const BlockKernel&) {
        for (const int threads : {1, 2}) {
          std::vector<float> result(x.size());
          const GroupFactors factors(x.data(), batch, pixels, 1, channels, groups,
                                     {scale.data(), shift.data(), 1e-5}, threads);
          for (std::int64_t image = 0; image < batch; ++image) {
            const std::int64_t at = image * pixels * channels;
            factors.apply(x.data() + at, image, pixels, after, result.data() + at, threads);
          }
          EXPECT_TRUE(close(result, exact, 1e-5)) << pixels << " pixels, " << channels << " channels";
        }
      });
    }
  }
}

TEST(LayerNorm, EqualsItsDefinition) {
  for (const std::int64_t channels : {1, 7, 64, 320, 331}) {
    const std::int64_t rows = 300;
    const auto x = random_numbers(rows * channels, 4);
    const auto scale = random_numbers(channels, 5), shift = random_numbers(channels, 6);
    std::vector<double> exact(x.size());
    for (std::int64_t r = 0; r < rows; ++r) {
      const auto at = [&](std::int64_t c) {
        return static_cast<double>(x[static_cast<std::size_t>(r * channels + c)]);
      };
      const auto [mean, variance] = statistics(channels, at);
      for (std::int64_t c = 0; c < channels; ++c) {
        const auto i = static_cast<std::size_t>(c);
        exact[static_cast<std::size_t>(r * channels + c)] =
            (at(c) - mean) / std::sqrt(variance + 1e-5) * static_cast<double>(scale[i]) +
            static_cast<double>(shift[i]);
      }
    }
    for_each_kernel([&](const BlockKernel&) {
      std::vector<float> result = x;  // in place
      layer_norm(result.data(), rows, channels, {scale.data(), shift.data(), 1e-5}, result.data(), 2);
      EXPECT_TRUE(close(result, exact, 1e-5)) << channels;
    });
  }
}

}  // namespace
}  // namespace lowrank::kernels
