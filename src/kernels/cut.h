// Work cut into equal parts.
#pragma once

#include <cstdint>

#include "kernels/product/block_kernel.h"

namespace lowrank::kernels {

// A range cut into `count` parts of `size`, the last one shorter.
struct Cut {
  std::int64_t count, size;
};

// `length` in as few parts of at most `largest` as possible, of equal size but for rounding up to `step`.
inline Cut cut(std::int64_t length, std::int64_t largest, std::int64_t step) {
  const std::int64_t parts = (length + largest - 1) / largest;
  const std::int64_t size = round_up((length + parts - 1) / parts, step);
  return {(length + size - 1) / size, size};
}

}  // namespace lowrank::kernels
