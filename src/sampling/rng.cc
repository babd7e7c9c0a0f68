#include "sampling/rng.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <cmath>
#include <numbers>

namespace lowrank::sampling {
namespace {

constexpr auto kRngNames = std::to_array<std::string_view>({"GPU", "CPU", "NV"});

struct PhiloxCounter {
  std::uint32_t c0, c1, c2, c3;
};

PhiloxCounter philox_4x32_10(PhiloxCounter c, std::uint64_t seed) {
  auto k0 = static_cast<std::uint32_t>(seed), k1 = static_cast<std::uint32_t>(seed >> 32);
  for (int round = 0; round < 10; ++round) {
    const std::uint64_t p = std::uint64_t{0xD2511F53} * c.c0, q = std::uint64_t{0xCD9E8D57} * c.c2;
    c = {static_cast<std::uint32_t>(q >> 32) ^ c.c1 ^ k0, static_cast<std::uint32_t>(q),
         static_cast<std::uint32_t>(p >> 32) ^ c.c3 ^ k1, static_cast<std::uint32_t>(p)};
    k0 += 0x9E3779B9;
    k1 += 0xBB67AE85;
  }
  return c;
}

}  // namespace

std::string_view rng_name(RngKind kind) {
  return kRngNames[static_cast<std::size_t>(kind)];
}

std::optional<RngKind> find_rng(std::string_view infotext_name) {
  const auto same = [](char a, char b) { return std::toupper(static_cast<unsigned char>(a)) == b; };
  for (std::size_t i = 0; i < kRngNames.size(); ++i) {
    if (std::ranges::equal(infotext_name, kRngNames[i], same)) return static_cast<RngKind>(i);
  }
  return std::nullopt;
}

void PhiloxGenerator::fill_normal(std::span<float> out) {
  // The constants are float32, the products float64: what NumPy makes of uint32 × float32 in the reference.
  constexpr float kInverse = 2.3283064e-10F;
  constexpr float kInverse2Pi = static_cast<float>(2.3283064e-10 * 6.2831855);
  for (std::size_t j = 0; j < out.size(); ++j) {
    const auto words = philox_4x32_10({offset_, 0, static_cast<std::uint32_t>(j), 0}, seed_);
    const double u = static_cast<double>(words.c0) * kInverse + kInverse / 2;
    const double v = static_cast<double>(words.c1) * kInverse2Pi + kInverse2Pi / 2;
    out[j] = static_cast<float>(std::sqrt(-2.0 * std::log(u)) * std::sin(v));
  }
  ++offset_;
}

TorchCpuGenerator::TorchCpuGenerator(std::uint64_t seed) {
  state_[0] = static_cast<std::uint32_t>(seed);
  for (std::uint32_t i = 1; i < state_.size(); ++i) {
    state_[i] = 1812433253U * (state_[i - 1] ^ (state_[i - 1] >> 30)) + i;
  }
}

std::uint32_t TorchCpuGenerator::next_word() {
  if (index_ == 624) {
    for (std::size_t i = 0; i < 624; ++i) {
      const std::uint32_t y = (state_[i] & 0x80000000U) | (state_[(i + 1) % 624] & 0x7FFFFFFFU);
      state_[i] = state_[(i + 397) % 624] ^ (y >> 1) ^ ((y & 1U) != 0 ? 0x9908B0DFU : 0U);
    }
    index_ = 0;
  }
  std::uint32_t y = state_[static_cast<std::size_t>(index_++)];
  y ^= y >> 11;
  y ^= (y << 7) & 0x9D2C5680U;
  y ^= (y << 15) & 0xEFC60000U;
  return y ^ (y >> 18);
}

double TorchCpuGenerator::next_double_normal() {
  if (spare_) {
    const double value = *spare_;
    spare_.reset();
    return value;
  }
  const auto uniform = [this] {
    const std::uint64_t high = next_word(), low = next_word();
    return static_cast<double>(((high << 32) | low) & ((std::uint64_t{1} << 53) - 1)) * 0x1p-53;
  };
  const double u1 = uniform(), u2 = uniform();
  const double radius = std::sqrt(-2 * std::log1p(-u2)), theta = 2 * std::numbers::pi * u1;
  spare_ = radius * std::sin(theta);
  return radius * std::cos(theta);
}

void TorchCpuGenerator::fill_block(float* block) {
  for (int j = 0; j < 8; ++j) {
    const float u1 = 1 - block[j], u2 = block[j + 8];
    const float radius = std::sqrt(-2 * std::log(u1));
    const float theta = 2 * std::numbers::pi_v<float> * u2;
    block[j] = radius * std::cos(theta);
    block[j + 8] = radius * std::sin(theta);
  }
}

void TorchCpuGenerator::fill_normal(std::span<float> out) {
  if (out.size() < 16) {
    for (float& value : out) value = static_cast<float>(next_double_normal());
    return;
  }
  const auto uniform = [this] { return static_cast<float>(next_word() & 0xFFFFFFU) * 0x1p-24F; };
  std::ranges::generate(out, uniform);
  for (std::size_t i = 0; i + 16 <= out.size(); i += 16) fill_block(&out[i]);
  if (out.size() % 16 != 0) {
    const auto tail = out.last(16);
    std::ranges::generate(tail, uniform);
    fill_block(tail.data());
  }
}

NormalGenerator::NormalGenerator(RngKind kind, std::uint64_t seed) : generator_(PhiloxGenerator(seed)) {
  if (kind == RngKind::kCpu) generator_ = TorchCpuGenerator(seed);
}

void NormalGenerator::fill_normal(std::span<float> out) {
  std::visit([out](auto& generator) { generator.fill_normal(out); }, generator_);
}

}  // namespace lowrank::sampling
