#include "kernels/convolution/convolution.h"

#include <algorithm>
#include <utility>

#include "base/error.h"

namespace lowrank::kernels {

Convolution::Convolution(const Map& map, Window window, const PackedWeights& weights, int threads,
                         const BlockKernel& kernel)
    : size_(map),
      window_(std::move(window)),
      weights_(weights),
      threads_(threads),
      kernel_(kernel),
      form_(winograd_form(map, window_, weights, kernel)) {}

LeftFactor Convolution::left_factor(const Map& map, const Window& window) {
  const bool is_matrix = map.height == window.out_height && map.width == window.out_width &&
                         window.kernel_height * window.kernel_width == 1;
  return is_matrix ? LeftFactor::matrix(map.data, map.channels, map.channels)
                   : LeftFactor::convolution(map, window);
}

void Convolution::run(const Map& map, const Window& window, Start start, const Epilogue& epilogue,
                      float* result) const {
  if (form_) return winograd(*form_, map, window, weights_, result, start, epilogue, threads_);
  LOWRANK_CHECK(start == Start::kZero);
  const LeftFactor left = left_factor(map, window);
  const Term term{&left, &weights_};
  product({&term, 1}, map.batch * window.out_height * window.out_width, result, outputs(), epilogue, threads_,
          kernel_);
}

void Convolution::run(const float* map, Start start, const Epilogue& epilogue, float* result) const {
  Map whole = size_;
  whole.data = map;
  run(whole, window_, start, epilogue, result);
}

void Convolution::run_rows(const float* rows, std::int64_t first, std::int64_t top, std::int64_t count,
                           const Epilogue& epilogue, float* result) const {
  Window window = window_;
  window.out_height = count;
  const auto begin = window_.rows.begin() + top * window_.stride;
  window.rows.assign(begin, begin + (count - 1) * window_.stride + window_.kernel_height);
  std::int32_t last = 0;
  for (std::int32_t& row : window.rows) {
    if (row >= 0) row -= static_cast<std::int32_t>(first);
    last = std::max(last, row);
  }
  run({rows, 1, last + 1, size_.width, size_.channels}, window, Start::kZero, epilogue, result);
}

std::int64_t Convolution::strip_end(std::int64_t row) const {
  // Tiles must stay where they are. Those of kDoubled begin one row before the first output.
  std::int64_t end = row;
  if (form_) {
    const bool is_doubled = *form_ == WinogradForm::kDoubled;
    const std::int64_t tile = sizes_of(*form_).outputs * (is_doubled ? 2 : 1), before = is_doubled ? 1 : 0;
    end = round_up(row + before, tile) - before;
  }
  return std::min(end, window_.out_height);
}

}  // namespace lowrank::kernels
