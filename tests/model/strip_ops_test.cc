// Residual blocks made strip by strip are, bit for bit, what the layers make one after the other.
#include "model/ops/strip_ops.h"
#include "model/ops/ops.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

namespace lowrank::model {
namespace {

constexpr auto kChannelsLast = at::MemoryFormat::ChannelsLast;

struct Layers {
  ops::Weight conv1, conv2, shortcut, up;
  at::Tensor bias1, bias2, shortcut_bias, up_bias, scale1, shift1, scale2, shift2;

  Layers(std::int64_t inputs, std::int64_t outputs)
      : conv1(at::randn({outputs, inputs, 3, 3}) * 0.05),
        conv2(at::randn({outputs, outputs, 3, 3}) * 0.05),
        shortcut(at::randn({outputs, inputs, 1, 1}) * 0.1),
        up((at::randn({inputs, inputs, 3, 3}) * 0.05).to(at::kHalf)),
        bias1(at::randn({outputs})),
        bias2(at::randn({outputs})),
        shortcut_bias(at::randn({outputs})),
        up_bias(at::randn({inputs})),
        scale1(at::randn({inputs})),
        shift1(at::randn({inputs})),
        scale2(at::randn({outputs})),
        shift2(at::randn({outputs})) {}

  ops::GroupNorm norm1() const { return {32, scale1, shift1, 1e-6}; }
  ops::GroupNorm norm2() const { return {32, scale2, shift2, 1e-6}; }
  strip_ops::ResBlock block(bool has_shortcut) const {
    const auto conv = [](const ops::Weight& w, const at::Tensor& bias) {
      return strip_ops::Conv{{w.packed(false), w.tensor.size(2), w.tensor.size(3)}, bias};
    };
    strip_ops::ResBlock all{norm1(), conv(conv1, bias1), norm2(), conv(conv2, bias2), {}};
    if (has_shortcut) all.shortcut.emplace(conv(shortcut, shortcut_bias));
    return all;
  }
  at::Tensor run(const at::Tensor& x, bool has_shortcut) const {
    const auto three = [](const at::Tensor& in, const ops::Weight& w, const at::Tensor& b,
                          const ops::Fused& fused) {
      return ops::conv2d(in, w, b, {}, {1, 1, false}, fused, at::kFloat);
    };
    const auto normalised = [](const at::Tensor& in, const ops::GroupNorm& n) {
      return ops::group_norm(in, n.groups, n.scale, n.shift, n.eps, ops::Activation::kSilu);
    };
    const at::Tensor h = three(normalised(x, norm1()), conv1, bias1, {});
    const at::Tensor residual =
        has_shortcut ? ops::conv2d(x, shortcut, shortcut_bias, {}, {}, {}, at::kFloat) : x;
    return three(normalised(h, norm2()), conv2, bias2, {.residual = residual});
  }
};

// Rows of 512 pixels × 128 channels: as long as a group norm sums on its own.
at::Tensor map(std::int64_t batch, std::int64_t channels, std::int64_t height, std::int64_t width) {
  return at::randn({batch, channels, height, width}).contiguous(kChannelsLast);
}

class Strips : public ::testing::Test {
 protected:
  void SetUp() override { at::manual_seed(7); }
  const at::NoGradGuard no_grad;
};

TEST_F(Strips, AResidualBlockTakesItsInputsMemory) {
  for (const std::int64_t height : {3, 40, 87}) {
    const Layers layers(128, 128);
    at::Tensor x = map(2, 128, height, 512);
    const at::Tensor whole = layers.run(x, false);
    const void* const memory = x.data_ptr();
    const at::Tensor strips = strip_ops::res_block(std::move(x), layers.block(false));
    EXPECT_EQ(strips.data_ptr(), memory);
    EXPECT_TRUE(strips.equal(whole)) << height;
  }
}

TEST_F(Strips, AResidualBlockOfADoubledMap) {
  for (const bool has_shortcut : {true, false}) {
    for (const std::int64_t height : {1, 21, 50}) {
      const Layers layers(128, has_shortcut ? 64 : 128);
      const at::Tensor x = map(1, 128, height, has_shortcut ? 512 : 256);
      const at::Tensor doubled =
          ops::conv2d(x, layers.up, layers.up_bias, {}, {1, 1, false},
                      {.upsample_to = std::pair(2 * x.size(2), 2 * x.size(3))}, at::kFloat);
      const at::Tensor whole = layers.run(doubled, has_shortcut);
      const strip_ops::Conv up{{layers.up.packed(false), 3, 3}, layers.up_bias};
      const at::Tensor strips = strip_ops::res_block_of_doubled(x, up, layers.block(has_shortcut));
      EXPECT_TRUE(strips.equal(whole)) << height << (strips - whole).abs().max();
    }
  }
}

TEST_F(Strips, AreWantedForMapsOfMoreThanAGigabyte) {
  const Layers layers(128, 128);
  const ops::ResBlock block{
      layers.norm1(), {&layers.conv1, layers.bias1}, layers.norm2(), {&layers.conv2, layers.bias2}, {}};
  const auto wanted = [&](std::int64_t height, std::int64_t width) {
    // A map of that size that takes no memory.
    return ops::wants_strips(at::zeros({1, 128, 1, 1}).expand({1, 128, height, width}), nullptr, block,
                             at::kFloat);
  };
  EXPECT_TRUE(wanted(1024, 1024));
  EXPECT_FALSE(wanted(512, 512));
  EXPECT_FALSE(wanted(1 << 20, 1));
}

}  // namespace
}  // namespace lowrank::model
