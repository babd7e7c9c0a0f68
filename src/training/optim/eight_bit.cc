#include "training/optim/eight_bit.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <cmath>
#include <vector>

namespace lowrank::training {
namespace {

constexpr std::int64_t kBlock = 256;
constexpr int kExponents = 7;  // bits that may lead as zeros

// The fractions of one power of ten lie in the middle of equal parts of 0.1 … 1.
std::array<float, 256> values(Signed is_signed) {
  std::vector<float> all = {0.0F, 1.0F};
  for (int exponent = 0; exponent < kExponents; ++exponent) {
    const int parts = 1 << (is_signed == Signed::kYes ? exponent : exponent + 1);
    const double power = std::pow(10.0, exponent - (kExponents - 1));
    for (int part = 0; part < parts; ++part) {
      const auto edge = [&](int k) { return static_cast<float>(0.1 + 0.9 * k / parts); };
      const float middle = (edge(part) + edge(part + 1)) / 2.0F;
      const auto value = static_cast<float>(power) * middle;
      all.push_back(value);
      if (is_signed == Signed::kYes) all.push_back(-value);
    }
  }
  std::array<float, 256> sorted{};
  std::copy_n(all.begin(), std::min(all.size(), sorted.size()), sorted.begin());
  std::ranges::sort(sorted);
  return sorted;
}

std::int64_t blocks_of(std::int64_t count) {
  return (count + kBlock - 1) / kBlock;
}

std::uint8_t nearest(const std::array<float, 256>& all, float x) {
  const auto above = std::ranges::lower_bound(all, x);
  if (above == all.begin()) return 0;
  if (above == all.end()) return 255;
  const auto below = above - 1;
  return static_cast<std::uint8_t>((x - *below <= *above - x ? below : above) - all.begin());
}

}  // namespace

const std::array<float, 256>& eight_bit_values(Signed is_signed) {
  static const std::array<float, 256> kSigned = values(Signed::kYes), kUnsigned = values(Signed::kNo);
  return is_signed == Signed::kYes ? kSigned : kUnsigned;
}

EightBits eight_bit_zeros(std::int64_t count, Signed is_signed) {
  const auto zero = nearest(eight_bit_values(is_signed), 0.0F);
  return {at::full({count}, zero, at::TensorOptions(at::kByte)),
          at::ones({blocks_of(count)}, at::TensorOptions(at::kFloat))};
}

at::Tensor unpacked(const EightBits& packed, Signed is_signed) {
  const auto& all = eight_bit_values(is_signed);
  const std::int64_t count = packed.codes.numel();
  at::Tensor x = at::empty({count}, at::TensorOptions(at::kFloat));
  const auto* codes = packed.codes.data_ptr<std::uint8_t>();
  const auto* scales = packed.scales.data_ptr<float>();
  auto* out = x.data_ptr<float>();
  for (std::int64_t i = 0; i < count; ++i) out[i] = all[codes[i]] * scales[i / kBlock];
  return x;
}

void pack(EightBits& into, const at::Tensor& x, Signed is_signed) {
  const auto& all = eight_bit_values(is_signed);
  const at::Tensor flat = x.reshape({-1}).contiguous();
  const auto* in = flat.data_ptr<float>();
  auto* codes = into.codes.data_ptr<std::uint8_t>();
  auto* scales = into.scales.data_ptr<float>();
  const std::int64_t count = flat.numel();
  for (std::int64_t block = 0; block < blocks_of(count); ++block) {
    const std::int64_t from = block * kBlock, to = std::min(count, from + kBlock);
    float most = 0;
    for (std::int64_t i = from; i < to; ++i) most = std::max(most, std::abs(in[i]));
    const float scale = most == 0 ? 1.0F : most;
    scales[block] = scale;
    for (std::int64_t i = from; i < to; ++i) codes[i] = nearest(all, in[i] / scale);
  }
}

}  // namespace lowrank::training
