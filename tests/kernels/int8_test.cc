// 8-bit products against loops in float64 over numbers rounded in float64: what remains is the sums.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "kernels/convolution/convolution.h"
#include "kernels/product/product.h"
#include "naive.h"

namespace lowrank::kernels {
namespace {

using testing::close;
using testing::naive_product;
using testing::random_numbers;

void for_each_int8_kernel(const std::function<void(const BlockKernel&)>& body) {
  for (const BlockKernel* kernel : {&emulated_int8_block_kernel(), vnni_block_kernel()}) {
    if (kernel == nullptr) continue;
    SCOPED_TRACE(std::string(kernel->name));
    body(*kernel);
  }
}

// Rows of `depth`, each run of 32 to whole multiples of a 127th of its largest number.
std::vector<float> in_runs(std::vector<float> x, std::int64_t depth) {
  for (std::size_t row = 0; row < x.size(); row += static_cast<std::size_t>(depth)) {
    for (std::int64_t begin = 0; begin < depth; begin += 32) {
      const std::int64_t end = std::min(begin + 32, depth);
      double largest = 0;
      for (std::int64_t k = begin; k < end; ++k)
        largest = std::max(largest, std::abs(double{x[row + static_cast<std::size_t>(k)]}));
      for (std::int64_t k = begin; k < end && largest > 0; ++k) {
        float& number = x[row + static_cast<std::size_t>(k)];
        number = static_cast<float>(std::nearbyint(double{number} / largest * 127) * largest / 127);
      }
    }
  }
  return x;
}

// Multiples of 1/64 with 127/64 in each run of 32: what weights of eight bits hold exactly.
std::vector<float> eight_bit_weights(std::int64_t outputs, std::int64_t depth) {
  std::vector<float> w;
  for (std::int64_t i = 0; i < outputs * depth; ++i)
    w.push_back(static_cast<float>(i % 32 == 5 ? 127 : i * 37 % 255 - 127) / 64);
  return w;
}

TEST(Int8, EqualsALoopOverRoundedNumbersForAwkwardSizes) {
  for (const auto& [rows, outputs, depth] :
       {std::array<std::int64_t, 3>{1, 1, 32}, {7, 20, 64}, {205, 100, 704}}) {
    const auto x = random_numbers(rows * depth, 1), w = eight_bit_weights(outputs, depth);
    const auto exact = naive_product(in_runs(x, depth), w, rows, outputs, depth);
    const auto packed =
        PackedWeights::in_int8(w.data(), Number::kFloat32, {outputs, depth, 1}, PanelOrder::kPlain, 1);
    const LeftFactor left = LeftFactor::matrix(x.data(), depth, depth);
    for_each_int8_kernel([&](const BlockKernel& kernel) {
      std::vector<float> result(static_cast<std::size_t>(rows * outputs));
      product({{{&left, &packed}}}, rows, result.data(), outputs, {}, 2, kernel);
      EXPECT_TRUE(close(result, exact, 1e-5)) << rows << "x" << outputs << "x" << depth;
    });
  }
}

// The largest numbers of both signs fill the sums most: 255 · 127 · 32 and what is taken off again.
TEST(Int8, HoldsTheLargestSums) {
  const std::int64_t rows = 13, outputs = 40, depth = 320;
  std::vector<float> x(static_cast<std::size_t>(rows * depth), 127),
      w(static_cast<std::size_t>(outputs * depth), -127);
  for (std::size_t i = 0; i < x.size(); i += 5) x[i] = -127;
  const auto exact = naive_product(x, w, rows, outputs, depth);
  const auto packed =
      PackedWeights::in_int8(w.data(), Number::kFloat32, {outputs, depth, 1}, PanelOrder::kPlain, 1);
  const LeftFactor left = LeftFactor::matrix(x.data(), depth, depth);
  for_each_int8_kernel([&](const BlockKernel& kernel) {
    std::vector<float> result(static_cast<std::size_t>(rows * outputs));
    product({{{&left, &packed}}}, rows, result.data(), outputs, {}, 1, kernel);
    EXPECT_TRUE(close(result, exact, 1e-6));
  });
}

// A large input coarsens the 32 of its run, and no others: rows of zeros stay zeros.
TEST(Int8, AnOutlierReachesItsRunOnly) {
  const std::int64_t outputs = 16, depth = 96;
  std::vector<float> x(static_cast<std::size_t>(2 * depth), 0);
  x[3] = 1000;  // in the first run
  for (std::int64_t k = 32; k < depth; ++k) x[static_cast<std::size_t>(k)] = 0.01F;
  const auto w = eight_bit_weights(outputs, depth);
  const auto exact = naive_product(x, w, 2, outputs, depth);
  std::vector<float> without = x;
  without[3] = 0;
  const auto rest = naive_product(without, w, 2, outputs, depth);
  const auto packed =
      PackedWeights::in_int8(w.data(), Number::kFloat32, {outputs, depth, 1}, PanelOrder::kPlain, 1);
  for_each_int8_kernel([&](const BlockKernel& kernel) {
    std::vector<float> result(static_cast<std::size_t>(2 * outputs));
    const LeftFactor left = LeftFactor::matrix(x.data(), depth, depth);
    product({{{&left, &packed}}}, 2, result.data(), outputs, {}, 1, kernel);
    EXPECT_TRUE(close(result, exact, 1e-6));
    const LeftFactor small = LeftFactor::matrix(without.data(), depth, depth);
    product({{{&small, &packed}}}, 2, result.data(), outputs, {}, 1, kernel);
    EXPECT_TRUE(close(result, rest, 1e-5));
  });
}

// The factors of a LoRA are stored in other types, and their rank need not fill a run.
TEST(Int8, TermsOfOtherTypesAndRanksAreAdded) {
  const std::int64_t rows = 70, outputs = 900, depth = 640, rank = 5;
  const auto x = random_numbers(rows * depth, 4), w = eight_bit_weights(outputs, depth);
  const auto t = random_numbers(rows * rank, 6), up = random_numbers(outputs * rank, 7);
  auto exact = naive_product(in_runs(x, depth), w, rows, outputs, depth);
  const auto second = naive_product(in_runs(t, rank), in_runs(up, rank), rows, outputs, rank);
  for (std::size_t i = 0; i < exact.size(); ++i) exact[i] += second[i];
  const auto packed =
      PackedWeights::in_int8(w.data(), Number::kFloat32, {outputs, depth, 1}, PanelOrder::kPlain, 1);
  const PackedWeights packed_up(up.data(), Number::kFloat32, {outputs, rank, 1}, PanelOrder::kPlain, 1);
  const LeftFactor left = LeftFactor::matrix(x.data(), depth, depth),
                   thin = LeftFactor::matrix(t.data(), rank, rank);
  for_each_int8_kernel([&](const BlockKernel& kernel) {
    std::vector<float> result(static_cast<std::size_t>(rows * outputs));
    product({{{&left, &packed}, {&thin, &packed_up}}}, rows, result.data(), outputs, {}, 2, kernel);
    EXPECT_TRUE(close(result, exact, 1e-5));
  });
}

// A convolution by two, which Winograd does not serve, sees zeros beyond the edge. Whole numbers are exact.
TEST(Int8, ConvolutionsEqualThoseOfFloats) {
  const std::int64_t side = 12, inputs = 64, outputs = 48, out = side / 2;
  std::vector<float> x;
  for (std::int64_t i = 0; i < side * side * inputs; ++i)
    x.push_back(static_cast<float>(i % 32 == 7 ? 127 : i * 53 % 255 - 127));
  const auto w = eight_bit_weights(outputs, inputs * 9);
  const auto run = [&](const PackedWeights& packed, const BlockKernel& kernel) {
    const Map map{x.data(), 1, side, side, inputs};
    const Convolution convolution(map, make_window(3, 3, 2, {1, 1, 1, 1}, side, side, side, side), packed, 2,
                                  kernel);
    std::vector<float> result(static_cast<std::size_t>(out * out * outputs));
    convolution.run(x.data(), Start::kZero, {}, result.data());
    return result;
  };
  const auto packed =
      PackedWeights::in_int8(w.data(), Number::kFloat32, {outputs, inputs, 9}, PanelOrder::kPlain, 1);
  const auto floats = run(packed, simd_block_kernel());
  const std::vector<double> exact(floats.begin(), floats.end());
  for_each_int8_kernel(
      [&](const BlockKernel& kernel) { EXPECT_TRUE(close(run(packed, kernel), exact, 1e-5)); });
}

}  // namespace
}  // namespace lowrank::kernels
