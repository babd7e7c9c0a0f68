#include "kernels/product/left_factor.h"

#include <algorithm>
#include <array>

namespace lowrank::kernels {
namespace {

std::vector<std::int32_t> positions(std::int64_t before, std::int64_t after, std::int64_t size,
                                    std::int64_t seen) {
  std::vector<std::int32_t> all;
  for (std::int64_t i = -before; i < seen + after; ++i) {
    if (i < 0 || i >= seen) {
      all.push_back(-1);
    } else if (size == seen) {
      all.push_back(static_cast<std::int32_t>(i));
    } else {
      // In float32, as PyTorch's nearest_neighbor_compute_source_index.
      const float scale = static_cast<float>(size) / static_cast<float>(seen);
      all.push_back(static_cast<std::int32_t>(
          std::min<std::int64_t>(static_cast<std::int64_t>(static_cast<float>(i) * scale), size - 1)));
    }
  }
  return all;
}

// Output o of a convolution sees input y through tap o · stride + tap = y + near.
std::vector<std::int32_t> gradient_positions(std::int64_t kernel, std::int64_t stride, std::int64_t near,
                                             std::int64_t size, std::int64_t inputs) {
  std::vector<std::int32_t> all;
  for (std::int64_t i = 0; i < inputs + kernel - 1; ++i) {
    const std::int64_t place = i + near - (kernel - 1);
    const bool is_there = place >= 0 && place % stride == 0 && place / stride < size;
    all.push_back(is_there ? static_cast<std::int32_t>(place / stride) : -1);
  }
  return all;
}

}  // namespace

Window make_gradient_window(std::int64_t kernel_height, std::int64_t kernel_width, std::int64_t stride,
                            std::int64_t near, std::int64_t height, std::int64_t width,
                            std::int64_t input_height, std::int64_t input_width) {
  return {.kernel_height = kernel_height,
          .kernel_width = kernel_width,
          .stride = 1,
          .out_height = input_height,
          .out_width = input_width,
          .rows = gradient_positions(kernel_height, stride, near, height, input_height),
          .columns = gradient_positions(kernel_width, stride, near, width, input_width)};
}

Window make_window(std::int64_t kernel_height, std::int64_t kernel_width, std::int64_t stride,
                   Padding padding, std::int64_t height, std::int64_t width, std::int64_t seen_height,
                   std::int64_t seen_width) {
  Window window{.kernel_height = kernel_height,
                .kernel_width = kernel_width,
                .stride = stride,
                .out_height = (seen_height + padding.top + padding.bottom - kernel_height) / stride + 1,
                .out_width = (seen_width + padding.left + padding.right - kernel_width) / stride + 1,
                .rows = positions(padding.top, padding.bottom, height, seen_height),
                .columns = positions(padding.left, padding.right, width, seen_width)};
  return window;
}

LeftFactor LeftFactor::matrix(const float* data, std::int64_t stride, std::int64_t depth) {
  LeftFactor factor;
  factor.data_ = data;
  factor.stride_ = stride;
  factor.depth_ = depth;
  return factor;
}

LeftFactor LeftFactor::convolution(const Map& map, const Window& window) {
  LeftFactor factor;
  factor.depth_ = window.kernel_height * window.kernel_width * map.channels;
  factor.map_ = &map;
  factor.window_ = &window;
  return factor;
}

void LeftFactor::pack(const BlockKernel& kernel, std::int64_t row, std::int64_t rows, std::int64_t from,
                      std::int64_t depth, void* block) const {
  std::array<const float*, kBlockRows> source;
  if (map_ == nullptr) {
    for (std::int64_t r = 0; r < rows; ++r)
      source[static_cast<std::size_t>(r)] = data_ + (row + r) * stride_ + from;
    kernel.pack_rows(source.data(), rows, depth, 0, block);
  } else {
    const Window& w = *window_;
    for (std::int64_t k = from; k < from + depth;) {
      const std::int64_t tap = k / map_->channels, channel = k % map_->channels;
      const std::int64_t count = std::min(map_->channels - channel, from + depth - k);
      const std::int64_t ky = tap / w.kernel_width, kx = tap % w.kernel_width;
      std::int64_t ox = row % w.out_width, oy = row / w.out_width % w.out_height;
      std::int64_t image = row / (w.out_width * w.out_height);
      for (std::int64_t r = 0; r < rows; ++r) {
        const std::int64_t y = w.rows[static_cast<std::size_t>(oy * w.stride + ky)];
        const std::int64_t x = w.columns[static_cast<std::size_t>(ox * w.stride + kx)];
        source[static_cast<std::size_t>(r)] =
            y < 0 || x < 0
                ? nullptr
                : map_->data + ((image * map_->height + y) * map_->width + x) * map_->channels + channel;
        if (++ox == w.out_width) {
          ox = 0;
          if (++oy == w.out_height) {
            oy = 0;
            ++image;
          }
        }
      }
      kernel.pack_rows(source.data(), rows, count, k - from, block);
      k += count;
    }
  }
  kernel.finish_depth(rows, depth, block);
}

}  // namespace lowrank::kernels
