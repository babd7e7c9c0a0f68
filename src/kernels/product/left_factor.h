// The left factor of a product: rows of numbers that need not lie in memory as rows. A convolution is the
// product of its weights with one row per output pixel, made of the pixels under the filter (implicit GEMM);
// rows are gathered block by block, and the large matrix never exists.
#pragma once

#include <cstdint>
#include <vector>

#include "kernels/product/block_kernel.h"

namespace lowrank::kernels {

// float32 [batch][height][width][channels].
struct Map {
  const float* data = nullptr;
  std::int64_t batch = 0, height = 0, width = 0, channels = 0;
};

// Where a convolution looks. Filter row y of output row i sees input row rows[i · stride + y], or zeros where
// that is −1; columns likewise. So padding on any side, strides and nearest up-sampling are tables.
struct Window {
  std::int64_t kernel_height = 1, kernel_width = 1, stride = 1;
  std::int64_t out_height = 0, out_width = 0;
  std::vector<std::int32_t> rows, columns;
};

struct Padding {
  std::int64_t top = 0, bottom = 0, left = 0, right = 0;
};

// Window of a kernel over a map of height × width, enlarged to `seen_height` × `seen_width` by repeating the
// nearest pixel (PyTorch's upsample_nearest: source = floor(i · size / seen)).
Window make_window(std::int64_t kernel_height, std::int64_t kernel_width, std::int64_t stride,
                   Padding padding, std::int64_t height, std::int64_t width, std::int64_t seen_height,
                   std::int64_t seen_width);

// Window of the gradient of a convolution's input: over the gradient of its output, height × width pixels of it with
// stride − 1 zeros between neighbours, lies the kernel turned by half a circle. `near`: the convolution's padding
// above and to the left; the window is as large as the convolution's input.
Window make_gradient_window(std::int64_t kernel_height, std::int64_t kernel_width, std::int64_t stride,
                            std::int64_t near, std::int64_t height, std::int64_t width,
                            std::int64_t input_height, std::int64_t input_width);

class LeftFactor {
 public:
  static LeftFactor matrix(const float* data, std::int64_t stride, std::int64_t depth);
  static LeftFactor convolution(const Map& map, const Window& window);  // both must outlive this

  std::int64_t depth() const { return depth_; }
  // Rows [row, row + rows) from depth `from`, `depth` numbers each, into a left block. rows ≤ kBlockRows.
  void pack(const BlockKernel& kernel, std::int64_t row, std::int64_t rows, std::int64_t from,
            std::int64_t depth, void* block) const;

 private:
  const float* data_ = nullptr;
  std::int64_t stride_ = 0, depth_ = 0;
  const Map* map_ = nullptr;
  const Window* window_ = nullptr;
};

}  // namespace lowrank::kernels
