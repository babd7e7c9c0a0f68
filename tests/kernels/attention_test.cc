// Attention against softmax(q·kᵀ/√d)·v in float64.
#include "kernels/attention.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <optional>

#include "naive.h"

namespace lowrank::kernels {
namespace {

using testing::close;
using testing::for_each_kernel;
using testing::random_numbers;

std::vector<double> naive(const AttentionShape& s, const std::vector<float>& q, const std::vector<float>& k,
                          const std::vector<float>& v) {
  const std::int64_t width = s.heads * s.head;
  std::vector<double> result(q.size());
  const auto at = [&](const std::vector<float>& t, std::int64_t row, std::int64_t column) {
    return static_cast<double>(t[static_cast<std::size_t>(row * width + column)]);
  };
  for (std::int64_t b = 0; b < s.batch; ++b)
    for (std::int64_t h = 0; h < s.heads; ++h)
      for (std::int64_t i = 0; i < s.queries; ++i) {
        const std::int64_t keys = s.mask == AttentionMask::kCausal ? std::min(s.keys, i + 1) : s.keys;
        std::vector<double> p;
        for (std::int64_t j = 0; j < keys; ++j) {
          double score = 0;
          for (std::int64_t d = 0; d < s.head; ++d)
            score += at(q, b * s.queries + i, h * s.head + d) * at(k, b * s.keys + j, h * s.head + d);
          p.push_back(score / std::sqrt(static_cast<double>(s.head)));
        }
        const double top = *std::max_element(p.begin(), p.end());
        double sum = 0;
        for (double& x : p) sum += x = std::exp(x - top);
        for (std::int64_t d = 0; d < s.head; ++d) {
          double value = 0;
          for (std::int64_t j = 0; j < keys; ++j)
            value += p[static_cast<std::size_t>(j)] / sum * at(v, b * s.keys + j, h * s.head + d);
          result[static_cast<std::size_t>((b * s.queries + i) * width + h * s.head + d)] = value;
        }
      }
  return result;
}

constexpr AttentionShape kShapes[] = {
    {.batch = 1, .heads = 1, .queries = 1, .keys = 1, .head = 1},
    {.batch = 2, .heads = 3, .queries = 5, .keys = 7, .head = 9},
    {.batch = 1, .heads = 2, .queries = 100, .keys = 77, .head = 40},
    {.batch = 2, .heads = 1, .queries = 97, .keys = 300, .head = 80},
    {.batch = 1, .heads = 1, .queries = 33, .keys = 513, .head = 520},
    {.batch = 2, .heads = 2, .queries = 77, .keys = 77, .head = 64, .mask = AttentionMask::kCausal},
    {.batch = 1, .heads = 1, .queries = 300, .keys = 300, .head = 16, .mask = AttentionMask::kCausal},
};

TEST(Attention, EqualsSoftmaxOfScores) {
  for_each_kernel([](const BlockKernel& kernel) {
    for (const AttentionShape& s : kShapes) {
      SCOPED_TRACE(::testing::Message() << s.queries << " queries, " << s.keys << " keys, head " << s.head);
      const std::int64_t width = s.heads * s.head;
      auto q = random_numbers(s.batch * s.queries * width, 1);
      const auto k = random_numbers(s.batch * s.keys * width, 2),
                 v = random_numbers(s.batch * s.keys * width, 3);
      for (float& x : q) x *= 3;  // some weights near one, so that the maximum moves
      std::vector<float> result(q.size(), NAN);
      attention(q.data(), k.data(), v.data(), s, result.data(), 2, kernel);
      EXPECT_TRUE(close(result, naive(s, q, k, v), 2e-4));
    }
  });
}

// Scores of numbers that are bfloat16 already are exact; what is rounded is the weights, by 2⁻⁹ each.
TEST(Attention, InBfloat16RoundsTheWeightsOnly) {
  testing::for_each_bf16_kernel([](const BlockKernel& kernel) {
    for (const AttentionShape& s : kShapes) {
      SCOPED_TRACE(::testing::Message() << s.queries << " queries, " << s.keys << " keys, head " << s.head);
      const std::int64_t width = s.heads * s.head;
      const auto q = testing::in_bfloat16(random_numbers(s.batch * s.queries * width, 1)),
                 k = testing::in_bfloat16(random_numbers(s.batch * s.keys * width, 2)),
                 v = testing::in_bfloat16(random_numbers(s.batch * s.keys * width, 3));
      std::vector<float> result(q.size(), NAN), again(q.size(), NAN);
      attention(q.data(), k.data(), v.data(), s, result.data(), 2, kernel);
      EXPECT_TRUE(close(result, naive(s, q, k, v), 4e-3));
      attention(q.data(), k.data(), v.data(), s, again.data(), 1, kernel);
      EXPECT_EQ(result, again);
    }
  });
}

TEST(Attention, HugeScoresStayFinite) {
  const AttentionShape s{.batch = 1, .heads = 1, .queries = 20, .keys = 600, .head = 32};
  auto q = random_numbers(20 * 32, 4);
  const auto k = random_numbers(600 * 32, 5), v = random_numbers(600 * 32, 6);
  for (float& x : q) x *= 1e4F;
  for_each_kernel([&](const BlockKernel& kernel) {
    std::vector<float> result(q.size());
    attention(q.data(), k.data(), v.data(), s, result.data(), 1, kernel);
    EXPECT_TRUE(close(result, naive(s, q, k, v), 1e-3));
  });
}

TEST(Attention, IsTheSameOnAnyNumberOfThreads) {
  const AttentionShape s{.batch = 2, .heads = 4, .queries = 400, .keys = 400, .head = 40};
  const auto q = random_numbers(2 * 400 * 160, 7), k = random_numbers(2 * 400 * 160, 8);
  for_each_kernel([&](const BlockKernel& kernel) {
    std::optional<std::vector<float>> first;
    for (const int threads : {1, 2, 3}) {
      std::vector<float> result(q.size());
      attention(q.data(), k.data(), k.data(), s, result.data(), threads, kernel);
      if (!first) first = result;
      EXPECT_EQ(result, *first);
    }
  });
}

}  // namespace
}  // namespace lowrank::kernels
