// The kernels' side of ops against libtorch's: what runs without gradients equals what runs with them.
#include "model/ops.h"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <ATen/core/grad_mode.h>
#include <gtest/gtest.h>

#include <array>
#include <functional>

#include "support/expect_close.h"

namespace lowrank::model::ops {
namespace {

using lowrank::testing::expect_close;

at::Tensor random(at::IntArrayRef sizes) {
  return at::randn(sizes);
}

// body with gradients on goes through libtorch, without through the kernels.
void expect_same(const std::function<at::Tensor()>& body) {
  at::Tensor slow, fast;
  {
    const at::AutoGradMode on(true);
    slow = body();
  }
  {
    const at::NoGradGuard off;
    fast = body();
  }
  EXPECT_TRUE(expect_close(fast, slow, {.rel = 1e-4}));
}

class Ops : public ::testing::Test {
 protected:
  void SetUp() override { at::manual_seed(5); }
};

TEST_F(Ops, LinearWithAllThatIsFused) {
  const at::Tensor x = random({2, 9, 40}), residual = random({2, 9, 24}), per_image = random({2, 24});
  for (const auto type : {at::kFloat, at::kHalf, at::kBFloat16}) {
    const Weight w(random({24, 40}).to(type));
    const at::Tensor b = random({24}).to(type);
    for (const auto activation :
         {Activation::kNone, Activation::kSilu, Activation::kGelu, Activation::kQuickGelu})
      expect_same([&] {
        return linear(x, w, b, {}, {.activation = activation, .per_image = per_image, .residual = residual},
                      at::kFloat);
      });
    expect_same([&] { return linear(x, w, b, {}, {.activation = Activation::kGeglu}, at::kFloat); });
    expect_same([&] { return linear(x, w, {}, {}, {}, at::kFloat); });
  }
}

TEST_F(Ops, ConvolutionsOfAllGeometries) {
  const at::Tensor x = random({2, 6, 7, 10});
  for (const std::int64_t kernel : {1, 3}) {
    const Weight w(random({20, 6, kernel, kernel}));
    const at::Tensor b = random({20}), per_image = random({2, 20}), residual = random({2, 20, 7, 10});
    const ConvGeometry same{.stride = 1, .padding = kernel / 2};
    expect_same([&] {
      return conv2d(x, w, b, {}, same, {.per_image = per_image, .residual = residual}, at::kFloat);
    });
    expect_same([&] { return conv2d(x, w, b, {}, {.stride = 2, .padding = kernel / 2}, {}, at::kFloat); });
    expect_same([&] { return conv2d(x, w, b, {}, same, {.upsample_to = std::pair(14L, 20L)}, at::kFloat); });
    expect_same([&] { return conv2d(x, w, b, {}, same, {.upsample_to = std::pair(13L, 19L)}, at::kFloat); });
  }
  const Weight w(random({8, 6, 3, 3}));
  expect_same([&] {
    return conv2d(x, w, {}, {}, {.stride = 2, .padding = 1, .far_side_only = true}, {}, at::kFloat);
  });
}

TEST_F(Ops, LowRankPartsAreAddedBeforeWhatIsFused) {
  const LowRank thin{Weight(random({3, 40})), Weight(random({24, 3}))};
  const LowRank wide{Weight(random({5, 40})), Weight(random({24, 5}))};
  const std::array<const LowRank*, 2> both = {&thin, &wide};
  const at::Tensor x = random({2, 9, 40});
  const Weight w(random({24, 40}));
  expect_same([&] { return linear(x, w, {}, both, {.activation = Activation::kGeglu}, at::kFloat); });

  const LowRank map{Weight(random({2, 16, 3, 3})), Weight(random({20, 2, 1, 1}))};
  const std::array<const LowRank*, 1> one = {&map};
  const at::Tensor picture = random({1, 16, 12, 13}), residual = random({1, 20, 12, 13});
  const Weight filters(random({20, 16, 3, 3}));
  expect_same([&] {
    return conv2d(picture, filters, {}, one, {.stride = 1, .padding = 1},
                  {.activation = Activation::kSilu, .residual = residual}, at::kFloat);
  });
}

TEST_F(Ops, NormsAndAttention) {
  const at::Tensor x = random({2, 12, 5, 6}) * 3 + 2, w = random({12}), b = random({12});
  expect_same([&] { return group_norm(x, 4, w, b, 1e-5, Activation::kSilu); });
  const at::Tensor rows = random({2, 7, 12});
  expect_same([&] { return layer_norm(rows, w, b, 1e-5); });
  const at::Tensor q = random({2, 9, 24}), k = random({2, 11, 24}), v = random({2, 11, 24});
  expect_same([&] { return attention(q, k, v, 3, Mask::kNone); });
  expect_same([&] { return attention(k, k, v, 3, Mask::kCausal); });
}

// 52 MB: large enough to be done in strips.
TEST_F(Ops, StripsGiveTheSameBytesAsTheWholeMapOnAnyNumberOfThreads) {
  const at::NoGradGuard off;
  const at::Tensor x = random({1, 32, 650, 630}), residual = random({1, 16, 650, 630});
  const GroupNorm norm{.groups = 8, .scale = random({32}), .shift = random({32}), .eps = 1e-6};
  const Weight w(random({16, 32, 3, 3}));
  const ConvGeometry geometry{.stride = 1, .padding = 1};
  const at::Tensor h = group_norm(x, norm.groups, norm.scale, norm.shift, norm.eps, Activation::kSilu);
  const at::Tensor whole = conv2d(h, w, {}, {}, geometry, {.residual = residual}, at::kFloat);
  const int threads = at::get_num_threads();
  for (const int count : {1, 2}) {
    at::set_num_threads(count);
    const at::Tensor strips = conv2d_of_norm(
        x, norm, w, {}, geometry, {.residual = residual.clone(), .into_residual = true}, at::kFloat);
    EXPECT_TRUE(at::equal(strips, whole)) << count << " threads";
  }
  at::set_num_threads(threads);
}

TEST_F(Ops, WeightsThatWereWrittenToAreReadAgain) {
  const at::NoGradGuard off;
  const at::Tensor x = random({1, 3, 8});
  const Weight w(random({4, 8}));
  linear(x, w, {}, {}, {}, at::kFloat);
  w.tensor.mul_(2);
  EXPECT_TRUE(expect_close(linear(x, w, {}, {}, {}, at::kFloat), at::linear(x, w.tensor), {.rel = 1e-4}));
}

}  // namespace
}  // namespace lowrank::model::ops
