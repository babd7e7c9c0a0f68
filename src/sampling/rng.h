// Normal random numbers that equal other programs' bit for bit (NV) or to the last float digit (CPU): the
// seeds of millions of shared pictures depend on them. Plain C++, independent of libtorch's version and of
// the thread count.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <span>
#include <string_view>
#include <variant>

namespace lowrank::sampling {

// A1111's setting "Random number generator source". GPU is the generator of a CUDA card; it equals NV.
enum class RngKind { kGpu, kCpu, kNv };
std::string_view rng_name(RngKind kind);                          // "GPU", "CPU", "NV": as in infotext
std::optional<RngKind> find_rng(std::string_view infotext_name);  // without case

// Philox 4×32-10 as CUDA's torch.randn uses it. Each fill is one "call": number j of call k depends on (seed,
// k, j) only. Only the sine of each Box-Muller pair is used. Source: Salmon et al. 2011; counter layout of
// PyTorch's kernel.
class PhiloxGenerator {
 public:
  explicit PhiloxGenerator(std::uint64_t seed) : seed_(seed) {}
  void fill_normal(std::span<float> out);

 private:
  std::uint64_t seed_;
  std::uint32_t offset_ = 0;
};

// torch.randn on a CPU generator: mt19937 seeded with the low 32 bits of the seed. Fewer than 16 numbers are
// made one by one in double precision (a spare one is kept for later), 16 and more in blocks of 16 in
// float32; a rest that fills no block redraws the last 16 places.
class TorchCpuGenerator {
 public:
  explicit TorchCpuGenerator(std::uint64_t seed);
  void fill_normal(std::span<float> out);

 private:
  std::uint32_t next_word();
  double next_double_normal();
  void fill_block(float* block);  // transforms 16 uniforms in place

  std::array<std::uint32_t, 624> state_;
  int index_ = 624;
  std::optional<double> spare_;
};

// One stream of normal numbers of either kind.
class NormalGenerator {
 public:
  NormalGenerator(RngKind kind, std::uint64_t seed);
  void fill_normal(std::span<float> out);

 private:
  std::variant<PhiloxGenerator, TorchCpuGenerator> generator_;
};

}  // namespace lowrank::sampling
