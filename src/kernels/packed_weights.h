// Weights in the order in which the block product reads them: [panel of 16 outputs][tap · input][16], in the
// type in which they were stored. Made once per layer; the numbers are unchanged.
#pragma once

#include <cstdint>

#include "kernels/block_kernel.h"
#include "kernels/buffer.h"

namespace lowrank::kernels {

// How outputs are laid into panels. kGated: outputs 0 … n/2 are values and the rest their gates (GEGLU), a
// panel of values is followed by the panel of its gates.
enum class PanelOrder { kPlain, kGated };

struct WeightShape {
  std::int64_t outputs = 0, inputs = 0, taps = 1;  // stored as [outputs][inputs][taps]
};

class PackedWeights {
 public:
  PackedWeights(const void* weights, Number number, WeightShape shape, PanelOrder order, int threads);

  const WeightShape& shape() const { return shape_; }
  PanelOrder order() const { return order_; }
  Number number() const { return number_; }
  std::int64_t depth() const { return shape_.inputs * shape_.taps; }
  std::int64_t panels() const { return panels_; }
  std::int64_t bytes() const { return data_.bytes(); }
  // Numbers of panel `panel` from depth `depth` on.
  const void* at(std::int64_t panel, std::int64_t depth) const;

 private:
  WeightShape shape_;
  PanelOrder order_;
  Number number_;
  std::int64_t panels_;
  Buffer data_;
};

}  // namespace lowrank::kernels
