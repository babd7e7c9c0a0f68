// Linear layers and convolutions against plain loops in float64.
#include "kernels/product/product.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <optional>

#include "kernels/convolution/convolution.h"
#include "kernels/convolution/winograd.h"
#include "naive.h"

namespace lowrank::kernels {
namespace {

using testing::close;
using testing::for_each_kernel;
using testing::naive_product;
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

// Whole 64ths up to 127, and one of 127 in each run: 8 bits hold them all.
std::vector<float> numbers_of_eight_bits(std::int64_t outputs, std::int64_t inputs, std::int64_t taps) {
  std::vector<float> w;
  for (std::int64_t i = 0; i < outputs * inputs * taps; ++i) {
    const std::int64_t input = i / taps % inputs;
    w.push_back(static_cast<float>(input % kRun == 7 ? 127 : i * 37 % 255 - 127) / 64);
  }
  return w;
}

TEST(WeightsOfEightBits, GiveTheSameProductsWhereTheyAreExact) {
  for_each_kernel([](const BlockKernel& kernel) {
    for (const auto [rows, outputs, depth] :
         {Size{1, 1, 32}, Size{7, 17, 96}, Size{13, 31, 320}, Size{5, 70, 992}, Size{200, 336, 64}}) {
      SCOPED_TRACE(::testing::Message() << rows << " rows, " << outputs << " outputs, depth " << depth);
      const auto x = random_numbers(rows * depth, 30), w = numbers_of_eight_bits(outputs, depth, 1);
      const LeftFactor left = LeftFactor::matrix(x.data(), depth, depth);
      std::optional<std::vector<float>> first;
      for (const int threads : {1, 2}) {
        const auto packed = PackedWeights::in_int8(w.data(), Number::kFloat32, {outputs, depth, 1},
                                                   PanelOrder::kPlain, threads);
        std::vector<float> result(static_cast<std::size_t>(rows * outputs), NAN);
        product({{{&left, &packed}}}, rows, result.data(), outputs, {}, threads, kernel);
        EXPECT_TRUE(close(result, naive_product(x, w, rows, outputs, depth)));
        if (!first) first = result;
        EXPECT_EQ(result, *first);
      }
    }
  });
}

TEST(WeightsOfEightBits, AreOffByHalfAStepAtMost) {
  const std::int64_t outputs = 37, depth = 128;
  auto w = random_numbers(outputs * depth, 31);
  for (std::int64_t k = 32; k < 64; ++k) w[static_cast<std::size_t>(3 * depth + k)] = 0;  // a run of nothing
  for (std::int64_t k = 64; k < 96; ++k) w[static_cast<std::size_t>(3 * depth + k)] *= 1e-30F;
  std::vector<float> unit(static_cast<std::size_t>(depth * depth));
  for (std::int64_t k = 0; k < depth; ++k) unit[static_cast<std::size_t>(k * depth + k)] = 1;
  const auto packed =
      PackedWeights::in_int8(w.data(), Number::kFloat32, {outputs, depth, 1}, PanelOrder::kPlain, 2);
  EXPECT_EQ(packed.bytes(), 48 * depth * 17 / 16);
  const LeftFactor left = LeftFactor::matrix(unit.data(), depth, depth);
  std::vector<float> result(static_cast<std::size_t>(depth * outputs));
  product({{{&left, &packed}}}, depth, result.data(), outputs, {}, 2, simd_block_kernel());
  for (std::int64_t o = 0; o < outputs; ++o) {
    for (std::int64_t run = 0; run < depth; run += kRun) {
      const auto weight = [&](std::int64_t k) { return w[static_cast<std::size_t>(o * depth + run + k)]; };
      float largest = 0;
      for (std::int64_t k = 0; k < kRun; ++k) largest = std::max(largest, std::abs(weight(k)));
      // A scale has 8 binary digits and is rounded up.
      const float half_step = largest / 127 * (1 + 1.0F / 128) / 2 * 1.0001F;
      for (std::int64_t k = 0; k < kRun; ++k)
        EXPECT_LE(std::abs(result[static_cast<std::size_t>((run + k) * outputs + o)] - weight(k)), half_step);
    }
  }
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

// Note [pictures of a batch]: the choice of form too must be the same.
TEST(Convolution, OfABatchEqualsThoseOfItsPicturesBitForBit) {
  constexpr std::int64_t kBatch = 8, kInputs = 36, kOutputs = 20;
  const auto w = random_numbers(kOutputs * kInputs * 9, 41);
  const PackedWeights packed(w.data(), Number::kFloat32, {kOutputs, kInputs, 9}, PanelOrder::kPlain, 1);
  for_each_kernel([&](const BlockKernel& kernel) {
    for (std::int64_t side = 1; side <= 20; ++side) {
      for (const std::int64_t scale : {1, 2}) {
        SCOPED_TRACE(::testing::Message() << side << " pixels, " << scale << " times as large");
        const auto x = random_numbers(kBatch * side * side * kInputs, 42);
        const std::int64_t seen = side * scale, of_one = seen * seen * kOutputs;
        const auto convolve = [&](const float* data, std::int64_t batch) {
          const Map map{data, batch, side, side, kInputs};
          std::vector<float> result(static_cast<std::size_t>(batch * of_one));
          Convolution(map, make_window(3, 3, 1, {1, 1, 1, 1}, side, side, seen, seen), packed, 2, kernel)
              .run(data, Start::kZero, {}, result.data());
          return result;
        };
        const auto together = convolve(x.data(), kBatch);
        for (std::int64_t image = 0; image < kBatch; ++image) {
          const auto alone = convolve(x.data() + image * side * side * kInputs, 1);
          ASSERT_TRUE(std::equal(alone.begin(), alone.end(), together.begin() + image * of_one))
              << "picture " << image;
        }
      }
    }
  });
}

TEST(WeightsOfEightBits, GiveTheSameConvolutionsWhereTheyAreExact) {
  constexpr Padding kOne{1, 1, 1, 1};
  for_each_kernel([&](const BlockKernel& kernel) {
    for (const ConvolutionCase& c : {ConvolutionCase{2, 5, 7, 32, 20, 3, 1, kOne, 5, 7},
                                     ConvolutionCase{1, 8, 6, 352, 33, 3, 1, kOne, 16, 12}}) {
      const auto x = random_numbers(c.batch * c.height * c.width * c.inputs, 32);
      const auto w = numbers_of_eight_bits(c.outputs, c.inputs, 9);
      const Map map{x.data(), c.batch, c.height, c.width, c.inputs};
      const Window window = make_window(3, 3, 1, c.padding, c.height, c.width, c.seen_height, c.seen_width);
      const auto packed =
          PackedWeights::in_int8(w.data(), Number::kFloat32, {c.outputs, c.inputs, 9}, PanelOrder::kPlain, 2);
      const auto exact = naive_convolution(c, x, w);
      const LeftFactor left = LeftFactor::convolution(map, window);
      std::vector<float> result(exact.size());
      product({{{&left, &packed}}}, c.batch * window.out_height * window.out_width, result.data(), c.outputs,
              {}, 2, kernel);
      EXPECT_TRUE(close(result, exact));
      for (const WinogradForm form : {WinogradForm::kFour, WinogradForm::kTwo, WinogradForm::kDoubled}) {
        if (form == WinogradForm::kDoubled && c.seen_height == c.height) continue;
        winograd(form, map, window, packed, result.data(), Start::kZero, {}, 2);
        EXPECT_TRUE(close(result, exact));
      }
    }
  });
}

// The transpose of the convolution, as a loop over what each output sees.
TEST(Product, MakesGradientsOfConvolutionsOfAnyStride) {
  struct Case {
    std::int64_t height, width, kernel, stride, near, far;
  };
  for (const Case& c : {Case{8, 8, 3, 2, 1, 1}, Case{7, 10, 3, 2, 0, 1}, Case{5, 6, 1, 2, 0, 0},
                        Case{9, 4, 3, 1, 1, 1}, Case{11, 12, 3, 3, 1, 1}}) {
    const std::int64_t height = c.height, width = c.width, kernel = c.kernel, stride = c.stride,
                       near = c.near, far = c.far;
    const std::int64_t batch = 2, inputs = 5, outputs = 18, taps = kernel * kernel;
    const std::int64_t out_height = (height + near + far - kernel) / stride + 1,
                       out_width = (width + near + far - kernel) / stride + 1;
    const auto dy = random_numbers(batch * out_height * out_width * outputs, 33);
    const auto w = random_numbers(outputs * inputs * taps, 34);
    std::vector<float> turned(w.size());
    std::vector<double> exact(static_cast<std::size_t>(batch * height * width * inputs));
    for (std::int64_t o = 0; o < outputs; ++o)
      for (std::int64_t i = 0; i < inputs; ++i)
        for (std::int64_t t = 0; t < taps; ++t)
          turned[static_cast<std::size_t>((i * outputs + o) * taps + taps - 1 - t)] =
              w[static_cast<std::size_t>((o * inputs + i) * taps + t)];
    for (std::int64_t b = 0; b < batch; ++b)
      for (std::int64_t oy = 0; oy < out_height; ++oy)
        for (std::int64_t ox = 0; ox < out_width; ++ox)
          for (std::int64_t ky = 0; ky < kernel; ++ky)
            for (std::int64_t kx = 0; kx < kernel; ++kx) {
              const std::int64_t y = oy * stride + ky - near, x = ox * stride + kx - near;
              if (y < 0 || y >= height || x < 0 || x >= width) continue;
              for (std::int64_t o = 0; o < outputs; ++o)
                for (std::int64_t i = 0; i < inputs; ++i)
                  exact[static_cast<std::size_t>(((b * height + y) * width + x) * inputs + i)] +=
                      static_cast<double>(dy[static_cast<std::size_t>(
                          ((b * out_height + oy) * out_width + ox) * outputs + o)]) *
                      static_cast<double>(
                          w[static_cast<std::size_t>((o * inputs + i) * taps + ky * kernel + kx)]);
            }
    const Map map{dy.data(), batch, out_height, out_width, outputs};
    const Window window =
        make_gradient_window(kernel, kernel, stride, near, out_height, out_width, height, width);
    const PackedWeights packed(turned.data(), Number::kFloat32, {inputs, outputs, taps}, PanelOrder::kPlain,
                               1);
    const LeftFactor left = LeftFactor::convolution(map, window);
    for_each_kernel([&](const BlockKernel& block) {
      std::vector<float> result(exact.size());
      product({{{&left, &packed}}}, batch * height * width, result.data(), inputs, {}, 2, block);
      EXPECT_TRUE(close(result, exact));
    });
    if (kernel != 3) continue;
    std::vector<float> result(exact.size());
    winograd(WinogradForm::kFour, map, window, packed, result.data(), Start::kZero, {}, 2);
    EXPECT_TRUE(close(result, exact, 1e-5));
  }
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
