// A convolution made whole or strip by strip: in Winograd's form where that is faster, else as a plain product.
#pragma once

#include <cstdint>
#include <optional>

#include "kernels/convolution/winograd.h"

namespace lowrank::kernels {

class Convolution {
 public:
  // Of maps of this size (their data are not looked at) under `window`; `weights` must outlive this.
  Convolution(const Map& map, Window window, const PackedWeights& weights, int threads,
              const BlockKernel& kernel = block_kernel());

  const Window& window() const { return window_; }
  std::int64_t outputs() const { return weights_.shape().outputs; }
  bool is_winograd() const { return form_.has_value(); }
  // The left factor of the plain product; the map must outlive it.
  static LeftFactor left_factor(const Map& map, const Window& window);

  // result [batch · out_height · out_width][outputs] = epilogue(start + map ⊛ weights). kResult needs Winograd.
  void run(const float* map, Start start, const Epilogue& epilogue, float* result) const;

  // Output rows [top, top + count) of one image, equal bit for bit to those of run() if top and top + count are
  // strip ends. `rows`: the map's rows from `first` on; those that are seen must be there. The epilogue's rows
  // are those of the strip.
  void run_rows(const float* rows, std::int64_t first, std::int64_t top, std::int64_t count,
                const Epilogue& epilogue, float* result) const;
  // The first strip end at or after an output row.
  std::int64_t strip_end(std::int64_t row) const;

 private:
  void run(const Map& map, const Window& window, Start start, const Epilogue& epilogue, float* result) const;
  Map size_;
  Window window_;
  const PackedWeights& weights_;
  int threads_;
  const BlockKernel& kernel_;
  std::optional<WinogradForm> form_;
};

}  // namespace lowrank::kernels
