#include "kernels/packed_weights.h"

#include <algorithm>

#include "base/parallel.h"

namespace lowrank::kernels {
namespace {

// First output of a panel, and how many of the 16 exist.
struct Outputs {
  std::int64_t first, count;
};

Outputs outputs_of(std::int64_t panel, const WeightShape& shape, PanelOrder order) {
  if (order == PanelOrder::kPlain) {
    const std::int64_t first = panel * kPanel;
    return {first, std::min(kPanel, shape.outputs - first)};
  }
  const std::int64_t half = shape.outputs / 2, first = panel / 2 * kPanel;
  return {panel % 2 * half + first, std::min(kPanel, half - first)};
}

// One panel: [outputs][inputs][taps] → [taps][inputs][16].
template <typename T>
void fill(const T* from, const WeightShape& shape, std::int64_t count, T* to) {
  constexpr std::int64_t kStrip = 64;  // inputs at once, so that the written lines stay in the cache
  const std::int64_t depth = shape.inputs * shape.taps;
  for (std::int64_t strip = 0; strip < shape.inputs; strip += kStrip) {
    const std::int64_t end = std::min(strip + kStrip, shape.inputs);
    for (std::int64_t o = 0; o < kPanel; ++o) {
      for (std::int64_t t = 0; t < shape.taps; ++t) {
        T* const row = to + (t * shape.inputs) * kPanel + o;
        const T* const source = from + std::min(o, count - 1) * depth + t;
        for (std::int64_t i = strip; i < end; ++i)
          row[i * kPanel] = o < count ? source[i * shape.taps] : T{0};
      }
    }
  }
}

}  // namespace

PackedWeights::PackedWeights(const void* weights, Number number, WeightShape shape, PanelOrder order,
                             int threads)
    : shape_(shape),
      order_(order),
      number_(number),
      panels_(order == PanelOrder::kPlain ? round_up(shape.outputs, kPanel) / kPanel
                                          : 2 * (round_up(shape.outputs / 2, kPanel) / kPanel)),
      data_(panels_ * shape.inputs * shape.taps * kPanel * bytes_of(number)) {
  parallel_for(panels_, threads, [&](std::int64_t panel) {
    const auto [first, count] = outputs_of(panel, shape_, order_);
    const std::int64_t to = panel * depth() * kPanel;
    if (number_ == Number::kFloat32) {
      fill(static_cast<const float*>(weights) + first * depth(), shape_, count, data_.floats() + to);
    } else {
      fill(static_cast<const std::uint16_t*>(weights) + first * depth(), shape_, count,
           reinterpret_cast<std::uint16_t*>(data_.data()) + to);
    }
  });
}

const void* PackedWeights::at(std::int64_t panel, std::int64_t depth_index) const {
  return data_.data() + (panel * depth() + depth_index) * kPanel * bytes_of(number_);
}

}  // namespace lowrank::kernels
