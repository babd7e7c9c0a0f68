// Linear layers and convolutions against plain loops in float64.
#include "kernels/product.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <optional>

#include "kernels/winograd.h"
#include "naive.h"

namespace lowrank::kernels {
namespace {

using testing::close;
using testing::for_each_kernel;
using testing::random_numbers;

double gelu(double x) {
  return 0.5 * x * (1 + std::erf(x / std::sqrt(2.0)));
}

double activate(double x, Activation activation) {
  switch (activation) {
    case Activation::kNone:
    case Activation::kGated:
      return x;
    case Activation::kSilu:
      return x / (1 + std::exp(-x));
    case Activation::kGelu:
      return gelu(x);
    case Activation::kQuickGelu:
      return x / (1 + std::exp(-1.702 * x));
  }
  return x;
}

// x · wᵀ, x [rows][depth], w [outputs][depth].
std::vector<double> naive_product(const std::vector<float>& x, const std::vector<float>& w, std::int64_t rows,
                                  std::int64_t outputs, std::int64_t depth) {
  std::vector<double> result(static_cast<std::size_t>(rows * outputs));
  for (std::int64_t r = 0; r < rows; ++r) {
    for (std::int64_t o = 0; o < outputs; ++o) {
      double sum = 0;
      for (std::int64_t k = 0; k < depth; ++k)
        sum += static_cast<double>(x[static_cast<std::size_t>(r * depth + k)]) *
               static_cast<double>(w[static_cast<std::size_t>(o * depth + k)]);
      result[static_cast<std::size_t>(r * outputs + o)] = sum;
    }
  }
  return result;
}

struct Size {
  std::int64_t rows, outputs, depth;
};
constexpr Size kSizes[] = {{1, 1, 1},    {2, 3, 5},     {7, 17, 33},    {12, 32, 320},  {13, 31, 321},
                           {77, 48, 64}, {193, 50, 70}, {200, 336, 40}, {5, 700, 1000}, {385, 16, 20}};

TEST(Product, EqualsALoopForAwkwardSizesOnEveryInstructionSet) {
  for_each_kernel([](const BlockKernel& kernel) {
    for (const auto [rows, outputs, depth] : kSizes) {
      SCOPED_TRACE(::testing::Message() << rows << " rows, " << outputs << " outputs, depth " << depth);
      const auto x = random_numbers(rows * depth, 1), w = random_numbers(outputs * depth, 2);
      const PackedWeights packed(w.data(), Number::kFloat32, {outputs, depth, 1}, PanelOrder::kPlain, 1);
      const LeftFactor left = LeftFactor::matrix(x.data(), depth, depth);
      std::vector<float> result(static_cast<std::size_t>(rows * outputs), NAN);
      product({{{&left, &packed}}}, rows, result.data(), outputs, {}, 2, kernel);
      EXPECT_TRUE(close(result, naive_product(x, w, rows, outputs, depth)));
    }
  });
}

TEST(Product, TakesWeightsOfSixteenBits) {
  // Numbers that both types hold exactly, and their bit patterns in each.
  const std::int64_t outputs = 20, depth = 45, rows = 9;
  std::vector<float> w;
  std::vector<std::uint16_t> half, brain;
  for (std::int64_t i = 0; i < outputs * depth; ++i) {
    const float value = static_cast<float>(i * 37 % 255 - 127) / 64;
    const auto bits = std::bit_cast<std::uint32_t>(value);
    w.push_back(value);
    brain.push_back(static_cast<std::uint16_t>(bits >> 16));
    const auto exponent = static_cast<std::int32_t>(bits >> 23 & 255) - 127 + 15;
    half.push_back(static_cast<std::uint16_t>(value == 0 ? 0
                                                         : (bits >> 31 << 15) |
                                                               (static_cast<std::uint32_t>(exponent) << 10) |
                                                               (bits >> 13 & 1023)));
  }
  const auto x = random_numbers(rows * depth, 3);
  const auto exact = naive_product(x, w, rows, outputs, depth);
  for_each_kernel([&](const BlockKernel& kernel) {
    for (const auto& [data, number] : {std::pair{static_cast<const void*>(half.data()), Number::kFloat16},
                                       {brain.data(), Number::kBfloat16}}) {
      const PackedWeights packed(data, number, {outputs, depth, 1}, PanelOrder::kPlain, 1);
      const LeftFactor left = LeftFactor::matrix(x.data(), depth, depth);
      std::vector<float> result(static_cast<std::size_t>(rows * outputs));
      product({{{&left, &packed}}}, rows, result.data(), outputs, {}, 1, kernel);
      EXPECT_TRUE(close(result, exact));
    }
  });
}

TEST(Product, SumsTermsAndFinishesThem) {
  const std::int64_t rows = 70, outputs = 37, depth = 50, rank = 3;
  const auto x = random_numbers(rows * depth, 4), w = random_numbers(outputs * depth, 5);
  const auto t = random_numbers(rows * rank, 6), up = random_numbers(outputs * rank, 7);
  const auto bias = random_numbers(outputs, 8), groups = random_numbers(2 * outputs, 9);
  const auto residual = random_numbers(rows * outputs, 10);
  for_each_kernel([&](const BlockKernel& kernel) {
    for (const Activation activation :
         {Activation::kNone, Activation::kSilu, Activation::kGelu, Activation::kQuickGelu}) {
      auto exact = naive_product(x, w, rows, outputs, depth);
      const auto second = naive_product(t, up, rows, outputs, rank);
      for (std::size_t i = 0; i < exact.size(); ++i) {
        const std::size_t column = i % outputs, row = i / outputs;
        const double sum = exact[i] + second[i] + static_cast<double>(bias[column]) +
                           static_cast<double>(groups[row / 35 * outputs + column]);
        exact[i] = activate(sum, activation) + static_cast<double>(residual[i]);
      }
      const PackedWeights packed(w.data(), Number::kFloat32, {outputs, depth, 1}, PanelOrder::kPlain, 1);
      const PackedWeights packed_up(up.data(), Number::kFloat32, {outputs, rank, 1}, PanelOrder::kPlain, 1);
      const LeftFactor left = LeftFactor::matrix(x.data(), depth, depth),
                       thin = LeftFactor::matrix(t.data(), rank, rank);
      std::vector<float> result = residual;  // in place
      product({{{&left, &packed}, {&thin, &packed_up}}}, rows, result.data(), outputs,
              {.bias = bias.data(),
               .group_bias = groups.data(),
               .rows_per_group = 35,
               .residual = result.data(),
               .residual_stride = outputs,
               .activation = activation},
              2, kernel);
      EXPECT_TRUE(close(result, exact));
    }
  });
}

TEST(Product, GatesValuesWithGelu) {
  for (const std::int64_t half : {5, 16, 40, 328}) {
    const std::int64_t rows = 21, depth = 33;
    const auto x = random_numbers(rows * depth, 11), w = random_numbers(2 * half * depth, 12);
    const auto bias = random_numbers(2 * half, 13);
    const auto both = naive_product(x, w, rows, 2 * half, depth);
    std::vector<double> exact;
    for (std::int64_t r = 0; r < rows; ++r) {
      for (std::int64_t c = 0; c < half; ++c) {
        const auto value = static_cast<std::size_t>(r * 2 * half + c);
        const auto gate = value + static_cast<std::size_t>(half);
        exact.push_back((both[value] + static_cast<double>(bias[static_cast<std::size_t>(c)])) *
                        gelu(both[gate] + static_cast<double>(bias[static_cast<std::size_t>(half + c)])));
      }
    }
    for_each_kernel([&](const BlockKernel& kernel) {
      const PackedWeights packed(w.data(), Number::kFloat32, {2 * half, depth, 1}, PanelOrder::kGated, 1);
      const LeftFactor left = LeftFactor::matrix(x.data(), depth, depth);
      std::vector<float> result(static_cast<std::size_t>(rows * half));
      product({{{&left, &packed}}}, rows, result.data(), half,
              {.bias = bias.data(), .activation = Activation::kGated}, 2, kernel);
      EXPECT_TRUE(close(result, exact)) << half;
    });
  }
}

struct ConvolutionCase {
  std::int64_t batch, height, width, inputs, outputs, kernel, stride;
  Padding padding;
  std::int64_t seen_height, seen_width;  // larger than the map: up-sampled
};
constexpr ConvolutionCase kConvolutions[] = {
    {1, 1, 1, 1, 1, 3, 1, {1, 1, 1, 1}, 1, 1},   {2, 5, 7, 4, 20, 3, 1, {1, 1, 1, 1}, 5, 7},
    {1, 9, 6, 33, 16, 3, 2, {1, 1, 1, 1}, 9, 6}, {2, 8, 8, 3, 5, 3, 2, {0, 1, 0, 1}, 8, 8},
    {3, 4, 5, 18, 9, 1, 1, {0, 0, 0, 0}, 4, 5},  {1, 4, 3, 40, 17, 3, 1, {1, 1, 1, 1}, 8, 6},
    {2, 3, 5, 6, 7, 3, 1, {1, 1, 1, 1}, 5, 9},   {1, 20, 20, 40, 33, 3, 1, {1, 1, 1, 1}, 20, 20},
};

std::vector<double> naive_convolution(const ConvolutionCase& c, const std::vector<float>& x,
                                      const std::vector<float>& w) {
  const std::int64_t out_height =
      (c.seen_height + c.padding.top + c.padding.bottom - c.kernel) / c.stride + 1;
  const std::int64_t out_width = (c.seen_width + c.padding.left + c.padding.right - c.kernel) / c.stride + 1;
  std::vector<double> result;
  for (std::int64_t b = 0; b < c.batch; ++b)
    for (std::int64_t oy = 0; oy < out_height; ++oy)
      for (std::int64_t ox = 0; ox < out_width; ++ox)
        for (std::int64_t o = 0; o < c.outputs; ++o) {
          double sum = 0;
          for (std::int64_t ky = 0; ky < c.kernel; ++ky)
            for (std::int64_t kx = 0; kx < c.kernel; ++kx) {
              const std::int64_t y = oy * c.stride + ky - c.padding.top,
                                 xx = ox * c.stride + kx - c.padding.left;
              if (y < 0 || xx < 0 || y >= c.seen_height || xx >= c.seen_width) continue;
              const std::int64_t sy = y * c.height / c.seen_height, sx = xx * c.width / c.seen_width;
              for (std::int64_t i = 0; i < c.inputs; ++i)
                sum += static_cast<double>(
                           x[static_cast<std::size_t>(((b * c.height + sy) * c.width + sx) * c.inputs + i)]) *
                       static_cast<double>(
                           w[static_cast<std::size_t>(((o * c.inputs + i) * c.kernel + ky) * c.kernel + kx)]);
            }
          result.push_back(sum);
        }
  return result;
}

TEST(Product, ConvolvesWithAnyStridePaddingAndUpsampling) {
  for_each_kernel([](const BlockKernel& kernel) {
    for (const ConvolutionCase& c : kConvolutions) {
      SCOPED_TRACE(::testing::Message()
                   << c.height << "x" << c.width << ", " << c.inputs << " to " << c.outputs);
      const auto x = random_numbers(c.batch * c.height * c.width * c.inputs, 14);
      const auto w = random_numbers(c.outputs * c.inputs * c.kernel * c.kernel, 15);
      const Map map{x.data(), c.batch, c.height, c.width, c.inputs};
      const Window window = make_window(c.kernel, c.kernel, c.stride, c.padding, c.height, c.width,
                                        c.seen_height, c.seen_width);
      const LeftFactor left = LeftFactor::convolution(map, window);
      const PackedWeights packed(w.data(), Number::kFloat32, {c.outputs, c.inputs, c.kernel * c.kernel},
                                 PanelOrder::kPlain, 2);
      const std::int64_t rows = c.batch * window.out_height * window.out_width;
      std::vector<float> result(static_cast<std::size_t>(rows * c.outputs));
      product({{{&left, &packed}}}, rows, result.data(), c.outputs, {}, 2, kernel);
      EXPECT_TRUE(close(result, naive_convolution(c, x, w)));
    }
  });
}

TEST(Winograd, EqualsPlainConvolution) {
  constexpr Padding kOne{1, 1, 1, 1};
  const ConvolutionCase cases[] = {
      {1, 1, 1, 1, 1, 3, 1, kOne, 1, 1},         {2, 5, 7, 4, 20, 3, 1, kOne, 5, 7},
      {1, 4, 4, 81, 16, 3, 1, kOne, 4, 4},       {3, 9, 10, 33, 70, 3, 1, kOne, 9, 10},
      {1, 3, 5, 17, 5, 3, 1, kOne, 6, 10},       {1, 40, 44, 20, 65, 3, 1, kOne, 40, 44},
      {1, 6, 6, 5, 6, 3, 1, {0, 1, 0, 1}, 6, 6}, {2, 1, 1, 5, 6, 3, 1, kOne, 2, 2},
      {2, 4, 5, 18, 33, 3, 1, kOne, 8, 10},      {1, 21, 9, 20, 65, 3, 1, kOne, 42, 18}};
  for_each_kernel([&](const BlockKernel&) {
    for (const ConvolutionCase& c : cases) {
      SCOPED_TRACE(::testing::Message()
                   << c.height << "x" << c.width << ", " << c.inputs << " to " << c.outputs);
      const auto x = random_numbers(c.batch * c.height * c.width * c.inputs, 18);
      const auto w = random_numbers(c.outputs * c.inputs * 9, 19), bias = random_numbers(c.outputs, 20);
      const Map map{x.data(), c.batch, c.height, c.width, c.inputs};
      const Window window = make_window(3, 3, 1, c.padding, c.height, c.width, c.seen_height, c.seen_width);
      const PackedWeights packed(w.data(), Number::kFloat32, {c.outputs, c.inputs, 9}, PanelOrder::kPlain, 1);
      auto exact = naive_convolution(c, x, w);
      const auto begin = random_numbers(static_cast<std::int64_t>(exact.size()), 21);
      for (std::size_t i = 0; i < exact.size(); ++i)
        exact[i] += static_cast<double>(begin[i]) +
                    static_cast<double>(bias[i % static_cast<std::size_t>(c.outputs)]);
      const bool is_doubled = c.seen_height == 2 * c.height && c.seen_width == 2 * c.width;
      for (const WinogradForm form : {WinogradForm::kFour, WinogradForm::kTwo, WinogradForm::kDoubled}) {
        if (form == WinogradForm::kDoubled && !is_doubled) continue;
        std::optional<std::vector<float>> first;
        for (const int threads : {1, 2}) {
          std::vector<float> result = begin;
          winograd(form, map, window, packed, result.data(), Start::kResult, {.bias = bias.data()}, threads);
          EXPECT_TRUE(close(result, exact, 1e-5));
          if (!first) first = result;
          EXPECT_EQ(result, *first);
        }
      }
    }
  });
}

TEST(Product, IsTheSameOnAnyNumberOfThreads) {
  const std::int64_t rows = 500, outputs = 400, depth = 700;
  const auto x = random_numbers(rows * depth, 16), w = random_numbers(outputs * depth, 17);
  const PackedWeights packed(w.data(), Number::kFloat32, {outputs, depth, 1}, PanelOrder::kPlain, 2);
  const LeftFactor left = LeftFactor::matrix(x.data(), depth, depth);
  for_each_kernel([&](const BlockKernel& kernel) {
    std::optional<std::vector<float>> first;
    for (const int threads : {1, 2, 4}) {
      std::vector<float> result(static_cast<std::size_t>(rows * outputs));
      product({{{&left, &packed}}}, rows, result.data(), outputs, {}, threads, kernel);
      if (!first) first = result;
      EXPECT_EQ(result, *first) << threads;
    }
  });
}

}  // namespace
}  // namespace lowrank::kernels
