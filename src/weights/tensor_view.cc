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
    DTypeRow{DType::kBool, "BOOL", 1},      DTypeRow{DType::kU8, "U8", 1},
    DTypeRow{DType::kI8, "I8", 1},          DTypeRow{DType::kI16, "I16", 2},
    DTypeRow{DType::kU16, "U16", 2},        DTypeRow{DType::kI32, "I32", 4},
    DTypeRow{DType::kU32, "U32", 4},        DTypeRow{DType::kI64, "I64", 8},
    DTypeRow{DType::kU64, "U64", 8},        DTypeRow{DType::kF8E4M3, "F8_E4M3", 1},
    DTypeRow{DType::kF8E5M2, "F8_E5M2", 1}, DTypeRow{DType::kF16, "F16", 2},
    DTypeRow{DType::kBF16, "BF16", 2},      DTypeRow{DType::kF32, "F32", 4},
    DTypeRow{DType::kF64, "F64", 8},
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

std::optional<std::uint64_t> countable_elements(const Shape& shape) {
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
  const std::size_t size = item_size(view.dtype);
  std::vector<float> floats(view.bytes.size() / size);
  for (std::size_t i = 0; i < floats.size(); ++i)
    floats[i] = element(view.dtype, view.bytes.data() + i * size);
  return floats;
}

}  // namespace lowrank::weights
