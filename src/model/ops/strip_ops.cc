#include "model/ops/strip_ops.h"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>

#include <algorithm>
#include <cstring>
#include <functional>

#include "base/error.h"
#include "kernels/buffer.h"
#include "kernels/convolution/convolution.h"
#include "kernels/norm.h"

namespace lowrank::model::strip_ops {
namespace {

constexpr std::int64_t kStripRows = 40;
constexpr auto kChannelsLast = at::MemoryFormat::ChannelsLast;

// Rows of a map that move on: those still needed stay, new ones are made behind them.
class MovingRows {
 public:
  explicit MovingRows(std::int64_t line) : line_(line) {}

  std::int64_t end() const { return end_; }
  const float* row(std::int64_t r) const { return data() + (r - first_) * line_; }

  // Forgets the rows before `keep` and makes those up to `end` by make(first of them, count, where).
  template <typename Make>
  void extend(std::int64_t keep, std::int64_t end, const Make& make) {
    if (end <= end_) return;
    keep = std::clamp(keep, first_, end_);
    const std::int64_t kept = end_ - keep, bytes = (end - keep) * line_ * 4;
    kernels::Buffer* to = &buffer_;
    kernels::Buffer larger;
    if (buffer_.bytes() < bytes) {
      larger = kernels::Buffer(bytes);
      to = &larger;
    }
    if (kept > 0) std::memmove(to->data(), row(keep), static_cast<std::size_t>(kept * line_) * 4);
    if (to == &larger) buffer_ = std::move(larger);
    make(end_, end - end_, data() + kept * line_);
    first_ = keep;
    end_ = end;
  }

 private:
  float* data() { return reinterpret_cast<float*>(buffer_.data()); }
  const float* data() const { return reinterpret_cast<const float*>(buffer_.data()); }
  std::int64_t line_, first_ = 0, end_ = 0;
  kernels::Buffer buffer_;
};

at::Tensor as_numbers(const at::Tensor& t) {
  return t.defined() ? t.to(at::kFloat).contiguous() : t;
}
const float* numbers_of(const at::Tensor& t) {
  return t.defined() ? t.data_ptr<float>() : nullptr;
}

// A convolution of one image, and its bias.
class Convolution {
 public:
  Convolution(const Conv& conv, std::int64_t height, std::int64_t width, std::int64_t seen = 1)
      : bias_(as_numbers(conv.bias)),
        reach_(conv.filter.height / 2),
        height_(height * seen),
        convolution_(
            {nullptr, 1, height, width, conv.filter.packed.shape().inputs},
            kernels::make_window(conv.filter.height, conv.filter.width, 1, {reach_, reach_, reach_, reach_},
                                 height, width, height * seen, width * seen),
            conv.filter.packed, at::get_num_threads()) {}

  std::int64_t outputs() const { return convolution_.outputs(); }
  std::int64_t strip_end(std::int64_t row) const { return convolution_.strip_end(row); }
  // Rows that outputs [top, end) see, where nothing is enlarged.
  std::int64_t first_seen(std::int64_t top) const { return std::max<std::int64_t>(0, top - reach_); }
  std::int64_t end_seen(std::int64_t end) const { return std::min(height_, end + reach_); }

  void rows(const float* in, std::int64_t first, std::int64_t top, std::int64_t end, const float* residual,
            float* result) const {
    convolution_.run_rows(in, first, top, end - top,
                          {.bias = numbers_of(bias_), .residual = residual, .residual_stride = outputs()},
                          result);
  }

 private:
  at::Tensor bias_;
  std::int64_t reach_, height_;
  kernels::Convolution convolution_;
};

// silu(norm(rows)), from the moments of a whole image.
class Norm {
 public:
  Norm(const ops::GroupNorm& norm, const kernels::GroupMoments& moments, std::int64_t width)
      : width_(width),
        scale_(as_numbers(norm.scale)),
        shift_(as_numbers(norm.shift)),
        factors_(moments, {numbers_of(scale_), numbers_of(shift_), norm.eps}) {}

  void apply(const float* rows, std::int64_t count, float* result) const {
    factors_.apply(rows, 0, count * width_, kernels::AfterNorm::kSilu, result, at::get_num_threads());
  }

 private:
  std::int64_t width_;
  at::Tensor scale_, shift_;
  kernels::GroupFactors factors_;
};

// What happens to each strip of `height` rows.
void for_strips(std::int64_t height, const std::function<void(std::int64_t top, std::int64_t end)>& body) {
  for (std::int64_t top = 0; top < height; top += kStripRows) body(top, std::min(height, top + kStripRows));
}

kernels::Buffer strip_of(std::int64_t rows, std::int64_t line) {
  return kernels::Buffer(rows * line * 4);
}
float* floats(kernels::Buffer& buffer) {
  return reinterpret_cast<float*>(buffer.data());
}

// The block over one image, x [height][width][channels].
void res_block_over(float* x, std::int64_t height, std::int64_t width, const ResBlock& block) {
  const Convolution conv1(block.conv1, height, width), conv2(block.conv2, height, width);
  const std::int64_t channels = conv2.outputs(), line = width * channels, inner = width * conv1.outputs();
  const int threads = at::get_num_threads();
  kernels::GroupMoments moments1(1, height, width, channels, block.norm1.groups);
  moments1.add(x, 0, 0, height, threads);
  const Norm norm1(block.norm1, moments1, width);
  kernels::Buffer normalised = strip_of(2 * kStripRows, std::max(line, inner));
  // Rows [top, end) of the first convolution, of rows of x that are still as they were.
  const auto first_convolution = [&](std::int64_t top, std::int64_t end, float* result) {
    const std::int64_t first = conv1.first_seen(top);
    norm1.apply(x + first * line, conv1.end_seen(end) - first, floats(normalised));
    conv1.rows(floats(normalised), first, top, end, nullptr, result);
  };
  kernels::GroupMoments moments2(1, height, width, conv1.outputs(), block.norm2.groups);
  {
    kernels::Buffer strip = strip_of(kStripRows, inner);
    for_strips(height, [&](std::int64_t top, std::int64_t end) {
      first_convolution(top, end, floats(strip));
      moments2.add(floats(strip), 0, top, end - top, threads);
    });
  }
  const Norm norm2(block.norm2, moments2, width);
  MovingRows hidden(inner);
  for_strips(height, [&](std::int64_t top, std::int64_t end) {
    const std::int64_t first = conv2.first_seen(top), seen = conv2.end_seen(end);
    // Made ahead of the rows that the result takes.
    hidden.extend(first, conv1.strip_end(seen), [&](std::int64_t from, std::int64_t count, float* to) {
      first_convolution(from, from + count, to);
    });
    norm2.apply(hidden.row(first), seen - first, floats(normalised));
    conv2.rows(floats(normalised), first, top, end, x + top * line, x + top * line);
  });
}

// The block of the doubled x [height][width][..] of one image, into y.
void res_block_of_doubled(const float* x, std::int64_t height, std::int64_t width, const Conv& up,
                          const ResBlock& block, float* y) {
  const std::int64_t tall = 2 * height, wide = 2 * width;
  const Convolution doubled(up, height, width, 2), conv1(block.conv1, tall, wide),
      conv2(block.conv2, tall, wide);
  const std::int64_t channels = doubled.outputs(), line = wide * channels, out_line = wide * conv2.outputs();
  const int threads = at::get_num_threads();
  LOWRANK_CHECK(conv1.outputs() == conv2.outputs());
  const std::int64_t in_line = width * up.filter.packed.shape().inputs;
  const auto double_rows = [&](std::int64_t top, std::int64_t count, float* to) {
    const std::int64_t first = std::max<std::int64_t>(0, top / 2 - 1);
    doubled.rows(x + first * in_line, first, top, top + count, nullptr, to);
  };
  kernels::GroupMoments moments1(1, tall, wide, channels, block.norm1.groups);
  {
    MovingRows rows(line);
    for_strips(tall, [&](std::int64_t, std::int64_t end) {
      rows.extend(rows.end(), doubled.strip_end(end), [&](std::int64_t from, std::int64_t count, float* to) {
        double_rows(from, count, to);
        moments1.add(to, 0, from, count, threads);
      });
    });
  }
  const Norm norm1(block.norm1, moments1, wide);
  kernels::GroupMoments moments2(1, tall, wide, conv1.outputs(), block.norm2.groups);
  {
    MovingRows rows(line);
    kernels::Buffer normalised = strip_of(kStripRows + 2, line);
    for_strips(tall, [&](std::int64_t top, std::int64_t end) {
      const std::int64_t first = conv1.first_seen(top), seen = conv1.end_seen(end);
      rows.extend(first, doubled.strip_end(seen), double_rows);
      norm1.apply(rows.row(first), seen - first, floats(normalised));
      conv1.rows(floats(normalised), first, top, end, nullptr, y + top * out_line);
      moments2.add(y + top * out_line, 0, top, end - top, threads);
    });
  }
  // The result lies over what the first convolution left in y: rows are normalised before they are lost.
  const Norm norm2(block.norm2, moments2, wide);
  MovingRows rows(line), normalised(out_line);
  std::optional<Convolution> shortcut;
  kernels::Buffer residual;
  if (block.shortcut) {
    shortcut.emplace(*block.shortcut, tall, wide);
    residual = strip_of(kStripRows, out_line);
  }
  for_strips(tall, [&](std::int64_t top, std::int64_t end) {
    const std::int64_t first = conv2.first_seen(top);
    normalised.extend(first, conv2.end_seen(end), [&](std::int64_t from, std::int64_t count, float* to) {
      norm2.apply(y + from * out_line, count, to);
    });
    rows.extend(top, doubled.strip_end(end), double_rows);
    if (shortcut) shortcut->rows(rows.row(top), top, top, end, nullptr, floats(residual));
    conv2.rows(normalised.row(first), first, top, end, shortcut ? floats(residual) : rows.row(top),
               y + top * out_line);
  });
}

}  // namespace

at::Tensor res_block(at::Tensor x, const ResBlock& block) {
  LOWRANK_CHECK(x.scalar_type() == at::kFloat && x.is_contiguous(kChannelsLast) && !block.shortcut);
  const std::int64_t image = x.size(1) * x.size(2) * x.size(3);
  for (std::int64_t i = 0; i < x.size(0); ++i)
    res_block_over(x.data_ptr<float>() + i * image, x.size(2), x.size(3), block);
  return x;
}

at::Tensor res_block_of_doubled(const at::Tensor& x, const Conv& up, const ResBlock& block) {
  const at::Tensor in = x.to(at::kFloat).contiguous(kChannelsLast);
  const at::Tensor y =
      at::empty({in.size(0), block.conv2.filter.packed.shape().outputs, 2 * in.size(2), 2 * in.size(3)},
                in.options(), kChannelsLast);
  for (std::int64_t i = 0; i < in.size(0); ++i) {
    res_block_of_doubled(in.data_ptr<float>() + i * in.numel() / in.size(0), in.size(2), in.size(3), up,
                         block, y.data_ptr<float>() + i * y.numel() / y.size(0));
  }
  return y;
}

}  // namespace lowrank::model::strip_ops
