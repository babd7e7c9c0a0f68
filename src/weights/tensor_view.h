// A named tensor lying somewhere in memory: dtype, shape and its bytes, little-endian, C-contiguous, at any
// alignment. A view owns nothing; it lives beside its owner (TensorFile).
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace lowrank::weights {

enum class DType {
  kBool,
  kU8,
  kI8,
  kI16,
  kU16,
  kI32,
  kU32,
  kI64,
  kU64,
  kF8E4M3,
  kF8E5M2,
  kF16,
  kBF16,
  kF32,
  kF64
};

std::size_t item_size(DType dtype);
std::string_view dtype_name(DType dtype);  // as safetensors writes it: "F16", "BF16", …
std::optional<DType> dtype_from_name(std::string_view name);

using Shape = std::vector<std::int64_t>;
// The number of elements, when every partial product of the dimensions fits in 63 bits; else nullopt.
std::optional<std::uint64_t> countable_elements(const Shape& shape);
std::string shape_text(const Shape& shape);  // "[320, 768]"

struct TensorView {
  std::string name;
  DType dtype = DType::kF32;
  Shape shape;
  std::span<const std::byte> bytes;

  std::int64_t elements() const {
    std::int64_t count = 1;
    for (const auto dimension : shape) count *= dimension;
    return count;
  }
};

// The elements widened exactly to float32 (for small tensors read above the engine line, such as alpha).
std::vector<float> to_floats(const TensorView& view);

}  // namespace lowrank::weights
