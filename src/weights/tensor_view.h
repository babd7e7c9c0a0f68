// A named tensor lying somewhere in memory: dtype, shape and its bytes, little-endian, C-contiguous, at any
// alignment, and the scales by which its numbers are to be multiplied. A view owns no bytes; it lives beside their owner
// (TensorFile).
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace lowrank::weights {

enum class DType : std::uint8_t {
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
  kF8E4M3Fnuz,
  kF8E5M2Fnuz,
  kF16,
  kBF16,
  kF32,
  kF64
};

std::size_t item_size(DType dtype);
std::string_view dtype_name(DType dtype);  // as safetensors writes it: "F16", "BF16", …
std::optional<DType> dtype_from_name(std::string_view name);
bool is_float(DType dtype);  // of any width; whole numbers and truth values are none

using Shape = std::vector<std::int64_t>;
// The number of elements, when every partial product of the dimensions fits in 63 bits; else nullopt.
std::optional<std::uint64_t> countable_elements(std::span<const std::int64_t> shape);
inline std::optional<std::uint64_t> countable_elements(const Shape& shape) {
  return countable_elements(std::span(shape));
}
std::string shape_text(const Shape& shape);  // "[320, 768]"

// Numbers that became small enough for few bits: each is stored as itself divided by the scale of its block.
struct Scaling {
  Shape stored;                // the tensor's shape as it lies in the file
  Shape blocks;                // along each dimension of it the number of blocks, which divides it
  std::vector<float> scales;   // one for each block, row-major
  bool is_transposed = false;  // stored [in, out] where the tensor is [out, in]
};

struct TensorView {
  std::string name;
  DType dtype = DType::kF32;
  Shape shape;
  std::span<const std::byte> bytes;
  std::shared_ptr<const Scaling> scaling = nullptr;  // null: the numbers are what is stored

  std::int64_t elements() const {
    std::int64_t count = 1;
    for (const auto dimension : shape) count *= dimension;
    return count;
  }
};

// The elements widened exactly to float32 and multiplied by their scales, in the order of `shape`. The second writes them
// to somebody's memory, as many as there are elements.
std::vector<float> to_floats(const TensorView& view);
void to_floats(const TensorView& view, std::span<float> floats);

}  // namespace lowrank::weights
