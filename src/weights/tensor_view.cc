#include "weights/tensor_view.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <array>
#include <bit>
#include <cmath>
#include <cstring>
#include <limits>

#include "base/checked.h"
#include "base/error.h"

namespace lowrank::weights {
namespace {

struct DTypeRow {
  DType dtype;
  std::string_view name;
  std::size_t size;
};

constexpr std::array kDTypes = {
    DTypeRow{DType::kBool, "BOOL", 1},
    DTypeRow{DType::kU8, "U8", 1},
    DTypeRow{DType::kI8, "I8", 1},
    DTypeRow{DType::kI16, "I16", 2},
    DTypeRow{DType::kU16, "U16", 2},
    DTypeRow{DType::kI32, "I32", 4},
    DTypeRow{DType::kU32, "U32", 4},
    DTypeRow{DType::kI64, "I64", 8},
    DTypeRow{DType::kU64, "U64", 8},
    DTypeRow{DType::kF8E4M3, "F8_E4M3", 1},
    DTypeRow{DType::kF8E5M2, "F8_E5M2", 1},
    DTypeRow{DType::kF16, "F16", 2},
    DTypeRow{DType::kBF16, "BF16", 2},
    DTypeRow{DType::kF32, "F32", 4},
    DTypeRow{DType::kF64, "F64", 8},
    DTypeRow{DType::kF8E4M3Fnuz, "F8_E4M3FNUZ", 1},
    DTypeRow{DType::kF8E5M2Fnuz, "F8_E5M2FNUZ", 1},
};

const DTypeRow& row_of(DType dtype) {
  for (const DTypeRow& row : kDTypes)
    if (row.dtype == dtype) return row;
  LOWRANK_CHECK(!"a dtype without a row");
}

template <typename T>
T load(const std::byte* at) {
  T value;
  std::memcpy(&value, at, sizeof(T));
  return value;
}

// A small binary float widened by its definition: sign, exponent with `bias`, mantissa of `mantissa_bits`.
// Exponent all ones is infinity or NaN when `has_infinity`, else an ordinary number.
float widen(unsigned bits, int total_bits, int mantissa_bits, int bias, bool has_infinity) {
  const int exponent_bits = total_bits - 1 - mantissa_bits;
  const unsigned mantissa = bits & ((1u << mantissa_bits) - 1u);
  const unsigned exponent = (bits >> mantissa_bits) & ((1u << exponent_bits) - 1u);
  const float sign = (bits >> (total_bits - 1)) != 0 ? -1.0f : 1.0f;
  if (has_infinity && exponent == (1u << exponent_bits) - 1u) {
    return mantissa == 0 ? sign * std::numeric_limits<float>::infinity()
                         : std::numeric_limits<float>::quiet_NaN();
  }
  const int scale = (exponent == 0 ? 1 : static_cast<int>(exponent)) - bias - mantissa_bits;
  const unsigned significand = exponent == 0 ? mantissa : mantissa + (1u << mantissa_bits);
  return sign * std::ldexp(static_cast<float>(significand), scale);
}

float element(DType dtype, const std::byte* at) {
  switch (dtype) {
    case DType::kBool:
      return load<std::uint8_t>(at) != 0 ? 1.0f : 0.0f;
    case DType::kU8:
      return load<std::uint8_t>(at);
    case DType::kI8:
      return load<std::int8_t>(at);
    case DType::kI16:
      return load<std::int16_t>(at);
    case DType::kU16:
      return load<std::uint16_t>(at);
    case DType::kI32:
      return static_cast<float>(load<std::int32_t>(at));
    case DType::kU32:
      return static_cast<float>(load<std::uint32_t>(at));
    case DType::kI64:
      return static_cast<float>(load<std::int64_t>(at));
    case DType::kU64:
      return static_cast<float>(load<std::uint64_t>(at));
    case DType::kF8E4M3: {  // the "fn" variant: no infinities, 0x7F and 0xFF are NaN
      const unsigned bits = load<std::uint8_t>(at);
      if ((bits & 0x7Fu) == 0x7Fu) return std::numeric_limits<float>::quiet_NaN();
      return widen(bits, 8, 3, 7, false);
    }
    case DType::kF8E5M2:
      return widen(load<std::uint8_t>(at), 8, 2, 15, true);
    // The "fnuz" variants: one code for NaN in the place of −0, no infinities, a bias one higher.
    case DType::kF8E4M3Fnuz:
      if (load<std::uint8_t>(at) == 0x80u) return std::numeric_limits<float>::quiet_NaN();
      return widen(load<std::uint8_t>(at), 8, 3, 8, false);
    case DType::kF8E5M2Fnuz:
      if (load<std::uint8_t>(at) == 0x80u) return std::numeric_limits<float>::quiet_NaN();
      return widen(load<std::uint8_t>(at), 8, 2, 16, false);
    case DType::kF16:
      return widen(load<std::uint16_t>(at), 16, 10, 15, true);
    case DType::kBF16:
      return std::bit_cast<float>(static_cast<std::uint32_t>(load<std::uint16_t>(at)) << 16);
    case DType::kF32:
      return load<float>(at);
    case DType::kF64:
      return static_cast<float>(load<double>(at));
  }
  return 0;
}

// The numbers as they are stored, in their order there.
void widen_all(const TensorView& view, std::span<float> floats) {
  const std::size_t size = item_size(view.dtype);
  if (size > 1) {
    for (std::size_t i = 0; i < floats.size(); ++i)
      floats[i] = element(view.dtype, view.bytes.data() + i * size);
    return;
  }
  std::array<float, 256> values;  // of every byte: a checkpoint has a thousand million of them
  for (std::size_t i = 0; i < values.size(); ++i) {
    const auto byte = static_cast<std::byte>(i);
    values[i] = element(view.dtype, &byte);
  }
  for (std::size_t i = 0; i < floats.size(); ++i)
    floats[i] = values[std::to_integer<std::size_t>(view.bytes[i])];
}

// floats[i] *= scale of i's block, for the rows along the last dimension one after the other.
void multiply_by_scales(const Scaling& scaling, std::span<float> floats) {
  if (scaling.scales.size() == 1) {
    for (float& value : floats) value *= scaling.scales.front();
    return;
  }
  const std::size_t rank = scaling.stored.size();
  const auto width = static_cast<std::size_t>(scaling.stored.back());
  const auto last_blocks = static_cast<std::size_t>(scaling.blocks.back());
  const std::size_t run = width / last_blocks;
  Shape index(rank, 0);  // the last one stays 0
  for (std::size_t row = 0; row < floats.size(); row += width) {
    std::int64_t block = 0;
    for (std::size_t d = 0; d + 1 < rank; ++d)
      block = block * scaling.blocks[d] + index[d] / (scaling.stored[d] / scaling.blocks[d]);
    const float* const scales = scaling.scales.data() + static_cast<std::size_t>(block) * last_blocks;
    for (std::size_t i = 0; i < width; ++i) floats[row + i] *= scales[i / run];
    for (std::size_t d = rank - 1; d-- > 0;) {
      if (++index[d] < scaling.stored[d]) break;
      index[d] = 0;
    }
  }
}

}  // namespace

std::size_t item_size(DType dtype) {
  return row_of(dtype).size;
}

std::string_view dtype_name(DType dtype) {
  return row_of(dtype).name;
}

std::optional<DType> dtype_from_name(std::string_view name) {
  for (const DTypeRow& row : kDTypes)
    if (row.name == name) return row.dtype;
  return std::nullopt;
}

bool is_float(DType dtype) {
  switch (dtype) {
    case DType::kF8E4M3:
    case DType::kF8E5M2:
    case DType::kF8E4M3Fnuz:
    case DType::kF8E5M2Fnuz:
    case DType::kF16:
    case DType::kBF16:
    case DType::kF32:
    case DType::kF64:
      return true;
    case DType::kBool:
    case DType::kU8:
    case DType::kI8:
    case DType::kI16:
    case DType::kU16:
    case DType::kI32:
    case DType::kU32:
    case DType::kI64:
    case DType::kU64:
      break;
  }
  return false;
}

std::optional<std::uint64_t> countable_elements(std::span<const std::int64_t> shape) {
  std::uint64_t count = 1;
  for (const std::int64_t dimension : shape) {
    if (dimension < 0) return std::nullopt;
    const auto next = checked_multiply(count, static_cast<std::uint64_t>(dimension));
    if (!next || *next > static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max()))
      return std::nullopt;
    count = *next;
  }
  return count;
}

std::string shape_text(const Shape& shape) {
  return fmt::format("[{}]", fmt::join(shape, ", "));
}

std::vector<float> to_floats(const TensorView& view) {
  std::vector<float> floats(view.bytes.size() / item_size(view.dtype));
  to_floats(view, floats);
  return floats;
}

void to_floats(const TensorView& view, std::span<float> floats) {
  LOWRANK_CHECK(floats.size() * item_size(view.dtype) == view.bytes.size());
  if (view.scaling == nullptr || floats.empty()) return widen_all(view, floats);
  if (!view.scaling->is_transposed) {
    widen_all(view, floats);
    return multiply_by_scales(*view.scaling, floats);
  }
  std::vector<float> stored(floats.size());
  widen_all(view, stored);
  multiply_by_scales(*view.scaling, stored);
  const auto rows = static_cast<std::size_t>(view.scaling->stored[0]), columns = stored.size() / rows;
  for (std::size_t r = 0; r < rows; ++r)
    for (std::size_t c = 0; c < columns; ++c) floats[c * rows + r] = stored[r * columns + c];
}

}  // namespace lowrank::weights
