// The gradients of attention against loops in float64 that keep the whole matrix of weights.
#include "kernels/attention_gradient.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <vector>

#include "naive.h"

namespace lowrank::kernels {
namespace {

using testing::close;
using testing::for_each_kernel;
using testing::random_numbers;

using Numbers = std::vector<float>;

struct Problem {
  explicit Problem(const AttentionShape& s, bool in_bfloat16 = false) : shape(s) {
    const std::int64_t width = s.heads * s.head;
    q = random_numbers(s.batch * s.queries * width, 1);
    k = random_numbers(s.batch * s.keys * width, 2);
    v = random_numbers(s.batch * s.keys * width, 3);
    dy = random_numbers(s.batch * s.queries * width, 4);
    for (float& x : q) x *= 3;  // some weights near one
    if (in_bfloat16)
      for (Numbers* all : {&q, &k, &v, &dy}) *all = testing::in_bfloat16(*all);
  }
  AttentionShape shape;
  Numbers q, k, v, dy;
};

struct Gradients {
  std::vector<double> q, k, v;
};

Gradients naive(const Problem& p) {
  const AttentionShape& s = p.shape;
  const std::int64_t width = s.heads * s.head;
  Gradients all{std::vector<double>(p.q.size()), std::vector<double>(p.k.size()),
                std::vector<double>(p.v.size())};
  const double scale = 1 / std::sqrt(static_cast<double>(s.head));
  for (std::int64_t b = 0; b < s.batch; ++b)
    for (std::int64_t h = 0; h < s.heads; ++h)
      for (std::int64_t i = 0; i < s.queries; ++i) {
        const auto query = [&](std::int64_t d) {
          return static_cast<std::size_t>((b * s.queries + i) * width + h * s.head + d);
        };
        const auto key = [&](std::int64_t j, std::int64_t d) {
          return static_cast<std::size_t>((b * s.keys + j) * width + h * s.head + d);
        };
        const std::int64_t keys = s.mask == AttentionMask::kCausal ? std::min(s.keys, i + 1) : s.keys;
        std::vector<double> weights, dp;
        for (std::int64_t j = 0; j < keys; ++j) {
          double score = 0, d_weight = 0;
          for (std::int64_t d = 0; d < s.head; ++d) {
            score += static_cast<double>(p.q[query(d)]) * static_cast<double>(p.k[key(j, d)]);
            d_weight += static_cast<double>(p.dy[query(d)]) * static_cast<double>(p.v[key(j, d)]);
          }
          weights.push_back(score * scale);
          dp.push_back(d_weight);
        }
        const double top = *std::max_element(weights.begin(), weights.end());
        double sum = 0, mean = 0;
        for (double& x : weights) sum += x = std::exp(x - top);
        for (std::size_t j = 0; j < weights.size(); ++j) mean += (weights[j] /= sum) * dp[j];
        for (std::int64_t j = 0; j < keys; ++j) {
          const double weight = weights[static_cast<std::size_t>(j)],
                       ds = weight * (dp[static_cast<std::size_t>(j)] - mean) * scale;
          for (std::int64_t d = 0; d < s.head; ++d) {
            all.v[key(j, d)] += weight * static_cast<double>(p.dy[query(d)]);
            all.q[query(d)] += ds * static_cast<double>(p.k[key(j, d)]);
            all.k[key(j, d)] += ds * static_cast<double>(p.q[query(d)]);
          }
        }
      }
  return all;
}

struct Found {
  Numbers q, k, v;
  bool operator==(const Found&) const = default;
};

Found found(const Problem& p, int threads, const BlockKernel& kernel) {
  const AttentionShape& s = p.shape;
  Numbers y(p.q.size()), sums(static_cast<std::size_t>(s.batch * s.heads * s.queries));
  attention(p.q.data(), p.k.data(), p.v.data(), s, y.data(), threads, kernel, sums.data());
  Found all{Numbers(p.q.size(), NAN), Numbers(p.k.size(), NAN), Numbers(p.v.size(), NAN)};
  attention_gradient({p.q.data(), p.k.data(), p.v.data(), y.data(), p.dy.data(), sums.data()}, s,
                     {all.q.data(), all.k.data(), all.v.data()}, threads, kernel);
  return all;
}

constexpr AttentionShape kShapes[] = {
    {.batch = 1, .heads = 1, .queries = 1, .keys = 1, .head = 1},
    {.batch = 2, .heads = 3, .queries = 5, .keys = 7, .head = 9},
    {.batch = 1, .heads = 2, .queries = 100, .keys = 77, .head = 40},
    {.batch = 2, .heads = 1, .queries = 300, .keys = 410, .head = 80},
    {.batch = 1, .heads = 1, .queries = 33, .keys = 213, .head = 520},
    {.batch = 1, .heads = 3, .queries = 700, .keys = 600, .head = 24},
    {.batch = 2, .heads = 2, .queries = 77, .keys = 77, .head = 64, .mask = AttentionMask::kCausal},
    {.batch = 1, .heads = 1, .queries = 600, .keys = 600, .head = 16, .mask = AttentionMask::kCausal},
    {.batch = 1, .heads = 1, .queries = 20, .keys = 500, .head = 16, .mask = AttentionMask::kCausal},
};

void expect_close_gradients(const Problem& p, const Found& ours, double tolerance) {
  const Gradients golden = naive(p);
  EXPECT_TRUE(close(ours.q, golden.q, tolerance)) << "dQ";
  EXPECT_TRUE(close(ours.k, golden.k, tolerance)) << "dK";
  EXPECT_TRUE(close(ours.v, golden.v, tolerance)) << "dV";
}

TEST(AttentionGradient, EqualsThatOfTheWholeMatrix) {
  for_each_kernel([](const BlockKernel& kernel) {
    for (const AttentionShape& s : kShapes) {
      SCOPED_TRACE(::testing::Message() << s.queries << " queries, " << s.keys << " keys, head " << s.head);
      const Problem p(s);
      expect_close_gradients(p, found(p, 2, kernel), 2e-4);
    }
  });
}

// Weights and dS are rounded, by 2⁻⁹ each, and cancel.
TEST(AttentionGradient, InBfloat16RoundsWeightsAndScores) {
  testing::for_each_bf16_kernel([](const BlockKernel& kernel) {
    for (const AttentionShape& s : kShapes) {
      SCOPED_TRACE(::testing::Message() << s.queries << " queries, " << s.keys << " keys, head " << s.head);
      const Problem p(s, /*in_bfloat16=*/true);
      const Found ours = found(p, 2, kernel);
      expect_close_gradients(p, ours, 1.5e-2);
      EXPECT_TRUE(ours == found(p, 1, kernel));
    }
  });
}

TEST(AttentionGradient, IsTheSameOnAnyNumberOfThreads) {
  const Problem p({.batch = 1, .heads = 2, .queries = 700, .keys = 900, .head = 40});
  for_each_kernel([&](const BlockKernel& kernel) {
    const Found one = found(p, 1, kernel);
    for (const int threads : {2, 3}) EXPECT_TRUE(one == found(p, threads, kernel));
  });
}

}  // namespace
}  // namespace lowrank::kernels
