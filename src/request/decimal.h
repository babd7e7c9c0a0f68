// A number that remembers how it was written: the metadata says `CFG scale: 7` for 7 and `7.0` for 7.0.
#pragma once

#include <string>

namespace lowrank::request {

struct Decimal {
  double value = 0;
  bool is_integer = false;

  constexpr Decimal() = default;
  constexpr Decimal(int whole) : value(whole), is_integer(true) {}  // NOLINT: a literal is meant to convert
  constexpr Decimal(double number) : value(number) {}               // NOLINT
  std::string text() const;
  friend bool operator==(const Decimal&, const Decimal&) = default;
};

}  // namespace lowrank::request
