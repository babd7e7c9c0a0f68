// One byte per pixel: which parts of a picture are meant. codec.h reads them from pictures of any kind.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace lowrank::image {

struct Mask {
  int width = 0;
  int height = 0;
  std::vector<std::uint8_t> grey;  // height · width, rows from the top; 255: meant
  bool from_alpha = false;         // the picture's transparency, not its brightness

  std::uint8_t& at(int x, int y) { return grey[index(x, y)]; }
  std::uint8_t at(int x, int y) const { return grey[index(x, y)]; }
  friend bool operator==(const Mask&, const Mask&) = default;

 private:
  std::size_t index(int x, int y) const {
    return static_cast<std::size_t>(y) * static_cast<std::size_t>(width) + static_cast<std::size_t>(x);
  }
};

}  // namespace lowrank::image
