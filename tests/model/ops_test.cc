// The kernels' side of ops, both ways, against libtorch's in float64.
#include "model/ops/ops.h"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <ATen/core/grad_mode.h>
#include <gtest/gtest.h>

#include <array>
#include <functional>
#include <tuple>
#include <utility>
#include <vector>

#include "support/expect_close.h"

namespace lowrank::model::ops {
namespace {

using lowrank::testing::expect_close;

at::Tensor random(at::IntArrayRef sizes) {
  return at::randn(sizes);
}

using Body = std::function<at::Tensor(at::ScalarType)>;

// Only float32 goes through the kernels.
void expect_same(const Body& body) {
  const at::NoGradGuard off;
  EXPECT_TRUE(expect_close(body(at::kFloat), body(at::kDouble), {.rel = 1e-4}));
}

// The gradients of a random weighing of the result with respect to the inputs, which body reads.
void expect_same_gradients(std::vector<at::Tensor> inputs, const Body& body, double rel = 1e-4) {
  for (at::Tensor& input : inputs) input.requires_grad_(true);
  at::Tensor direction;
  const auto gradients = [&](at::ScalarType type) {
    const at::AutoGradMode on(true);
    const at::Tensor y = body(type);
    if (!direction.defined()) direction = at::randn(y.sizes(), at::kDouble);
    (y * direction.to(y.scalar_type())).sum().backward();
    std::vector<at::Tensor> all = {y.detach()};
    for (at::Tensor& input : inputs) {
      all.push_back(input.grad().clone());
      input.mutable_grad().reset();
    }
    return all;
  };
  const auto fast = gradients(at::kFloat), slow = gradients(at::kDouble);
  for (std::size_t i = 0; i < fast.size(); ++i)
    EXPECT_TRUE(expect_close(fast[i], slow[i], {.rel = rel})) << (i == 0 ? "result" : "input ") << i;
}

class Ops : public ::testing::Test {
 protected:
  void SetUp() override { at::manual_seed(5); }
};

TEST_F(Ops, LinearWithAllThatIsFused) {
  const at::Tensor x = random({2, 9, 40}), residual = random({2, 9, 24}), per_image = random({2, 24});
  for (const auto stored : {at::kFloat, at::kHalf, at::kBFloat16}) {
    const Weight w(random({24, 40}).to(stored));
    const at::Tensor b = random({24}).to(stored);
    for (const auto activation :
         {Activation::kNone, Activation::kSilu, Activation::kGelu, Activation::kQuickGelu})
      expect_same([&](at::ScalarType type) {
        return linear(x, w, b, {}, {.activation = activation, .per_image = per_image, .residual = residual},
                      type);
      });
    expect_same(
        [&](at::ScalarType type) { return linear(x, w, b, {}, {.activation = Activation::kGeglu}, type); });
    expect_same([&](at::ScalarType type) { return linear(x, w, {}, {}, {}, type); });
  }
}

TEST_F(Ops, ConvolutionsOfAllGeometries) {
  const at::Tensor x = random({2, 6, 7, 10});
  for (const std::int64_t kernel : {1, 3}) {
    const Weight w(random({20, 6, kernel, kernel}));
    const at::Tensor b = random({20}), per_image = random({2, 20}), residual = random({2, 20, 7, 10});
    const ConvGeometry same{.stride = 1, .padding = kernel / 2};
    expect_same([&](at::ScalarType type) {
      return conv2d(x, w, b, {}, same, {.per_image = per_image, .residual = residual}, type);
    });
    expect_same([&](at::ScalarType type) {
      return conv2d(x, w, b, {}, {.stride = 2, .padding = kernel / 2}, {}, type);
    });
    expect_same([&](at::ScalarType type) {
      return conv2d(x, w, b, {}, same, {.upsample_to = std::pair(14L, 20L)}, type);
    });
    expect_same([&](at::ScalarType type) {
      return conv2d(x, w, b, {}, same, {.upsample_to = std::pair(13L, 19L)}, type);
    });
  }
  const Weight w(random({8, 6, 3, 3}));
  expect_same([&](at::ScalarType type) {
    return conv2d(x, w, {}, {}, {.stride = 2, .padding = 1, .far_side_only = true}, {}, type);
  });
}

TEST_F(Ops, LowRankPartsAreAddedBeforeWhatIsFused) {
  const LowRank thin{Weight(random({3, 40})), Weight(random({24, 3}))};
  const LowRank wide{Weight(random({5, 40})), Weight(random({24, 5}))};
  const std::array<const LowRank*, 2> both = {&thin, &wide};
  const at::Tensor x = random({2, 9, 40});
  const Weight w(random({24, 40}));
  expect_same(
      [&](at::ScalarType type) { return linear(x, w, {}, both, {.activation = Activation::kGeglu}, type); });

  const LowRank map{Weight(random({2, 16, 3, 3})), Weight(random({20, 2, 1, 1}))};
  const std::array<const LowRank*, 1> one = {&map};
  const at::Tensor picture = random({1, 16, 12, 13}), residual = random({1, 20, 12, 13});
  const Weight filters(random({20, 16, 3, 3}));
  expect_same([&](at::ScalarType type) {
    return conv2d(picture, filters, {}, one, {.stride = 1, .padding = 1},
                  {.activation = Activation::kSilu, .residual = residual}, type);
  });
}

TEST_F(Ops, WeightsHeldInEightBitsGiveNearlyTheSame) {
  const at::NoGradGuard off;
  const at::Tensor x = random({1, 64, 9, 12}), stored = random({40, 64, 3, 3});
  const Weight exact(stored);
  Weight held(stored.to(at::kHalf));
  held.hold_in_int8();
  EXPECT_TRUE(held.is_held_in_int8());
  EXPECT_EQ(held.packed_bytes(false), 48 * 64 * 9 * 17 / 16);
  const ConvGeometry geometry{.stride = 1, .padding = 1};
  const at::Tensor y = conv2d(x, exact, {}, {}, geometry, {}, at::kFloat);
  const at::Tensor z = conv2d(x, held, {}, {}, geometry, {}, at::kFloat);
  const double error = ((y - z).norm() / y.norm()).item<double>();
  EXPECT_GT(error, 1e-4);
  EXPECT_LT(error, 0.01);
  // 40 inputs are no whole runs: the weights stay as they are.
  const at::Tensor rows = random({5, 40}), other = random({24, 40});
  Weight odd(other);
  odd.hold_in_int8();
  EXPECT_FALSE(odd.is_held_in_int8());
  EXPECT_TRUE(at::equal(linear(rows, odd, {}, {}, {}, at::kFloat),
                        linear(rows, Weight(other), {}, {}, {}, at::kFloat)));
}

TEST_F(Ops, Norms) {
  const at::Tensor x = random({2, 12, 5, 6}) * 3 + 2, w = random({12}), b = random({12});
  const at::NoGradGuard off;
  EXPECT_TRUE(
      expect_close(group_norm(x, 4, w, b, 1e-5, Activation::kSilu),
                   at::silu(at::group_norm(x.to(at::kDouble), 4, w.to(at::kDouble), b.to(at::kDouble), 1e-5)),
                   {.rel = 1e-4}));
  const at::Tensor rows = random({2, 7, 12});
  EXPECT_TRUE(expect_close(
      layer_norm(rows, w, b, 1e-5),
      at::layer_norm(rows.to(at::kDouble), {12}, w.to(at::kDouble), b.to(at::kDouble), 1e-5), {.rel = 1e-4}));
}

TEST_F(Ops, Attention) {
  const at::Tensor q = random({2, 9, 24}), k = random({2, 11, 24}), v = random({2, 11, 24});
  for (const Mask mask : {Mask::kNone, Mask::kCausal}) {
    const at::Tensor& queries = mask == Mask::kCausal ? k : q;
    expect_same([&](at::ScalarType type) {
      return attention(queries.to(type), k.to(type), v.to(type), 3, mask, at::kFloat);
    });
  }
}

TEST_F(Ops, GradientsThroughFixedLinearLayers) {
  const at::Tensor x = random({2, 9, 40}), residual = random({2, 9, 24});
  for (const auto stored : {at::kFloat, at::kHalf, at::kBFloat16}) {
    const Weight w(random({24, 40}).to(stored));
    const at::Tensor b = random({24}).to(stored);
    expect_same_gradients({x, residual}, [&](at::ScalarType type) {
      return linear(x, w, b, {}, {.activation = Activation::kGelu, .residual = residual}, type);
    });
    expect_same_gradients({x}, [&](at::ScalarType type) {
      return linear(x, w, {}, {}, {.activation = Activation::kGeglu}, type);
    });
  }
}

TEST_F(Ops, GradientsThroughFixedConvolutions) {
  for (const auto& [height, width] : {std::pair(7L, 10L), std::pair(2L, 2L), std::pair(16L, 12L)}) {
    const at::Tensor x = random({2, 18, height, width}), per_image = random({2, 20});
    for (const std::int64_t kernel : {1, 3}) {
      const Weight w(random({20, 18, kernel, kernel}).to(at::kHalf));
      const at::Tensor b = random({20});
      expect_same_gradients({x, per_image}, [&](at::ScalarType type) {
        return conv2d(x, w, b, {}, {.stride = 1, .padding = kernel / 2}, {.per_image = per_image}, type);
      });
      expect_same_gradients({x}, [&](at::ScalarType type) {
        return conv2d(x, w, b, {}, {.stride = 2, .padding = kernel / 2}, {}, type);
      });
      expect_same_gradients({x}, [&](at::ScalarType type) {
        return conv2d(x, w, {}, {}, {.stride = 1, .padding = kernel / 2},
                      {.upsample_to = std::pair(2 * height, 2 * width - 1)}, type);
      });
    }
    const Weight w(random({8, 18, 3, 3}));
    expect_same_gradients({x}, [&](at::ScalarType type) {
      return conv2d(x, w, {}, {}, {.stride = 2, .padding = 1, .far_side_only = true}, {}, type);
    });
  }
}

// 1,100 queries of 300 keys are more than a strip.
TEST_F(Ops, GradientsThroughAttention) {
  struct Case {
    std::int64_t batch, queries, keys, heads, width;
    Mask mask;
  };
  for (const Case& c : {Case{2, 9, 11, 3, 8, Mask::kNone}, Case{1, 1, 2, 1, 5, Mask::kNone},
                        Case{1, 1100, 300, 2, 10, Mask::kNone}, Case{3, 77, 77, 2, 16, Mask::kCausal},
                        Case{1, 700, 700, 1, 4, Mask::kCausal}}) {
    const at::Tensor q = random({c.batch, c.queries, c.heads * c.width}),
                     k = random({c.batch, c.keys, c.heads * c.width}),
                     v = random({c.batch, c.keys, c.heads * c.width});
    expect_same_gradients(
        {q, k, v},
        [&](at::ScalarType type) {
          return attention(q.to(type), k.to(type), v.to(type), c.heads, c.mask, at::kFloat);
        },
        1e-5);
    // Some inputs fixed, as the keys of a fixed text encoder are.
    const at::Tensor other = q.detach().clone();
    expect_same_gradients({other}, [&](at::ScalarType type) {
      return attention(other.to(type), k.detach().to(type), v.detach().to(type), c.heads, c.mask, at::kFloat);
    });
  }
}

TEST_F(Ops, GradientsAreTheSameBytesOnAnyNumberOfThreads) {
  const Weight linear_weight(random({64, 64})), filters(random({64, 64, 3, 3}));
  const at::Tensor x = random({1, 64, 20, 20}).requires_grad_(true);
  const auto gradient = [&] {
    const at::AutoGradMode on(true);
    const at::Tensor h = conv2d(x, filters, {}, {}, {.stride = 1, .padding = 1}, {}, at::kFloat);
    const at::Tensor rows = linear(h.flatten(2).transpose(1, 2), linear_weight, {}, {}, {}, at::kFloat);
    attention(rows, rows, rows, 4, Mask::kNone, at::kFloat).sum().backward();
    const at::Tensor result = x.grad().clone();
    const_cast<at::Tensor&>(x).mutable_grad().reset();
    return result;
  };
  const int threads = at::get_num_threads();
  at::set_num_threads(1);
  const at::Tensor one = gradient();
  at::set_num_threads(2);
  EXPECT_TRUE(at::equal(gradient(), one));
  at::set_num_threads(threads);
}

TEST_F(Ops, GradientsDoNotReachFixedWeights) {
  const Weight w(random({24, 40}));
  const at::AutoGradMode on(true);
  EXPECT_FALSE(linear(random({2, 40}), w, {}, {}, {}, at::kFloat).requires_grad());
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

TEST_F(Ops, ConvolutionsOverTheirInputGiveTheSameBytesInItsMemory) {
  const at::NoGradGuard off;
  const Weight w(random({20, 36, 1, 1}).to(at::kHalf)), widening(random({48, 36, 1, 1}));
  const at::Tensor b = random({20});
  for (const auto& [batch, height, width] :
       {std::tuple(1L, 1L, 1L), std::tuple(2L, 7L, 9L), std::tuple(2L, 101L, 93L)}) {
    const at::Tensor x = random({batch, 36, height, width}).contiguous(at::MemoryFormat::ChannelsLast);
    const at::Tensor plain = conv2d(x, w, b, {}, {}, {}, at::kFloat);
    at::Tensor own = x.clone();
    const void* const memory = own.data_ptr();
    const at::Tensor over = conv2d_in_place(std::move(own), w, b, at::kFloat);
    EXPECT_EQ(over.data_ptr(), memory);
    EXPECT_TRUE(at::equal(over, plain));
    EXPECT_TRUE(over.is_contiguous(at::MemoryFormat::ChannelsLast));
    // What somebody else holds is left alone, and a result that is larger finds a place of its own.
    const at::Tensor before = x.clone();
    EXPECT_TRUE(at::equal(conv2d_in_place(x, w, b, at::kFloat), plain));
    EXPECT_TRUE(at::equal(x, before));
    EXPECT_TRUE(at::equal(conv2d_in_place(x.clone(), widening, {}, at::kFloat),
                          conv2d(x, widening, {}, {}, {}, {}, at::kFloat)));
  }
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
