// Products of bfloat16 against loops in float64 over numbers rounded by arithmetic, not by bits: a product of two
// bfloat16 is exact in float32, so what remains is the sums.
#include <gtest/gtest.h>

#include <cmath>

#include "kernels/convolution/convolution.h"
#include "kernels/product/product.h"
#include "naive.h"

namespace lowrank::kernels {
namespace {

using testing::close;
using testing::for_each_bf16_kernel;
using testing::in_bfloat16;
using testing::naive_product;
using testing::nearest_bfloat16;
using testing::random_numbers;

TEST(Bfloat16, RoundsToTheNearestTiesToEven) {
  // 1 + n/256 lies halfway between two bfloat16 when n is odd. Source: IEEE 754, roundTiesToEven.
  const std::vector<float> x = {
      1 + 1.0F / 256, 1 + 3.0F / 256, 1 + 1.0F / 256 + 1e-4F, -1 - 1.0F / 256, 3.0F, 0.0F, 1e-20F, 65504.0F};
  const std::vector<double> expected = {
      1, 1 + 4.0 / 256, 1 + 2.0 / 256, -1, 3, 0, static_cast<double>(nearest_bfloat16(1e-20F)), 65536};
  const std::vector<float> one = {1};
  const PackedWeights packed(one.data(), Number::kFloat32, {1, 1, 1}, PanelOrder::kPlain, 1);
  for_each_bf16_kernel([&](const BlockKernel& kernel) {
    const LeftFactor left = LeftFactor::matrix(x.data(), 1, 1);
    std::vector<float> result(x.size());
    product({{{&left, &packed}}}, static_cast<std::int64_t>(x.size()), result.data(), 1, {}, 1, kernel);
    for (std::size_t i = 0; i < x.size(); ++i) EXPECT_EQ(static_cast<double>(result[i]), expected[i]) << x[i];
  });
}

struct Size {
  std::int64_t rows, outputs, depth;
};

TEST(Bfloat16, ProductEqualsALoopOverRoundedNumbers) {
  for_each_bf16_kernel([](const BlockKernel& kernel) {
    // The last two have more panels than one right block, so their left factors are packed beforehand, the very last
    // in several chunks of rows.
    for (const auto [rows, outputs, depth] :
         {Size{1, 1, 1}, Size{7, 17, 33}, Size{13, 31, 321}, Size{193, 50, 70}, Size{5, 700, 1000},
          Size{700, 900, 321}, Size{8000, 700, 1290}}) {
      SCOPED_TRACE(::testing::Message() << rows << " rows, " << outputs << " outputs, depth " << depth);
      const auto x = random_numbers(rows * depth, 1), w = random_numbers(outputs * depth, 2);
      const PackedWeights packed(w.data(), Number::kFloat32, {outputs, depth, 1}, PanelOrder::kPlain, 2);
      const LeftFactor left = LeftFactor::matrix(x.data(), depth, depth);
      std::vector<float> result(static_cast<std::size_t>(rows * outputs), NAN), again = result;
      product({{{&left, &packed}}}, rows, result.data(), outputs, {}, 2, kernel);
      product({{{&left, &packed}}}, rows, again.data(), outputs, {}, 3, kernel);
      EXPECT_EQ(result, again);
      // Of a large product the first, the middle and the last rows.
      for (const std::int64_t row : {std::int64_t{0}, rows / 2, rows - 1}) {
        const std::vector<float> one(x.begin() + row * depth, x.begin() + (row + 1) * depth),
            ours(result.begin() + row * outputs, result.begin() + (row + 1) * outputs);
        EXPECT_TRUE(close(ours, naive_product(in_bfloat16(one), in_bfloat16(w), 1, outputs, depth), 1e-5));
      }
    }
  });
}

TEST(Bfloat16, TermsOfDifferentDepthsAreAdded) {
  const std::int64_t rows = 70, outputs = 900, depth = 650, rank = 5;
  const auto x = random_numbers(rows * depth, 4), w = random_numbers(outputs * depth, 5);
  const auto t = random_numbers(rows * rank, 6), up = random_numbers(outputs * rank, 7),
             bias = random_numbers(outputs, 8);
  auto exact = naive_product(in_bfloat16(x), in_bfloat16(w), rows, outputs, depth);
  const auto second = naive_product(in_bfloat16(t), in_bfloat16(up), rows, outputs, rank);
  for (std::size_t i = 0; i < exact.size(); ++i)
    exact[i] += second[i] + static_cast<double>(bias[i % static_cast<std::size_t>(outputs)]);
  const PackedWeights packed(w.data(), Number::kFloat32, {outputs, depth, 1}, PanelOrder::kPlain, 1);
  const PackedWeights packed_up(up.data(), Number::kFloat32, {outputs, rank, 1}, PanelOrder::kPlain, 1);
  const LeftFactor left = LeftFactor::matrix(x.data(), depth, depth),
                   thin = LeftFactor::matrix(t.data(), rank, rank);
  for_each_bf16_kernel([&](const BlockKernel& kernel) {
    std::vector<float> result(static_cast<std::size_t>(rows * outputs));
    product({{{&left, &packed}, {&thin, &packed_up}}}, rows, result.data(), outputs, {.bias = bias.data()}, 2,
            kernel);
    EXPECT_TRUE(close(result, exact, 1e-5));
  });
}

TEST(Bfloat16, WeightsOfAnyKindAreRoundedOnce) {
  // 1 + n/128: all of bfloat16, float16 and, with a scale, 8 bits hold them.
  const std::int64_t outputs = 20, depth = 64, rows = 9;
  std::vector<float> w;
  for (std::int64_t i = 0; i < outputs * depth; ++i)
    w.push_back(static_cast<float>(i % 32 == 5 ? 127 : i * 37 % 255 - 127) / 64);
  const auto x = random_numbers(rows * depth, 3);
  const auto exact = naive_product(in_bfloat16(x), w, rows, outputs, depth);
  const PackedWeights plain(w.data(), Number::kFloat32, {outputs, depth, 1}, PanelOrder::kPlain, 1);
  const auto eight =
      PackedWeights::in_int8(w.data(), Number::kFloat32, {outputs, depth, 1}, PanelOrder::kPlain, 1);
  for_each_bf16_kernel([&](const BlockKernel& kernel) {
    for (const PackedWeights* packed : {&plain, &eight}) {
      const LeftFactor left = LeftFactor::matrix(x.data(), depth, depth);
      std::vector<float> result(static_cast<std::size_t>(rows * outputs));
      product({{{&left, packed}}}, rows, result.data(), outputs, {}, 1, kernel);
      EXPECT_TRUE(close(result, exact, 1e-5));
    }
  });
}

// A convolution by two (no Winograd) in bfloat16 equals the float32 one of rounded numbers; one that Winograd serves
// stays in float32.
TEST(Bfloat16, ConvolutionsRoundOnlyWhereTheyAreProducts) {
  const std::int64_t side = 12, inputs = 32, outputs = 48;
  const auto x = random_numbers(side * side * inputs, 9), w = random_numbers(outputs * inputs * 9, 10);
  const auto rounded_x = in_bfloat16(x), rounded_w = in_bfloat16(w);
  for (const std::int64_t stride : {1, 2}) {
    for_each_bf16_kernel([&](const BlockKernel& kernel) {
      const auto run = [&](const std::vector<float>& map_data, const std::vector<float>& weights,
                           const BlockKernel& with) {
        const PackedWeights packed(weights.data(), Number::kFloat32, {outputs, inputs, 9}, PanelOrder::kPlain,
                                   1);
        const Map map{map_data.data(), 1, side, side, inputs};
        const Convolution convolution(map, make_window(3, 3, stride, {1, 1, 1, 1}, side, side, side, side),
                                      packed, 2, with);
        const std::int64_t out = side / stride;
        std::vector<float> result(static_cast<std::size_t>(out * out * outputs));
        convolution.run(map_data.data(), Start::kZero, {}, result.data());
        return result;
      };
      const bool rounds = stride == 2 || !kernel.is_slower_than_winograd;
      const auto exact = run(rounds ? rounded_x : x, rounds ? rounded_w : w, simd_block_kernel());
      EXPECT_TRUE(close(run(x, w, kernel), std::vector<double>(exact.begin(), exact.end()), 1e-5));
    });
  }
}

}  // namespace
}  // namespace lowrank::kernels
