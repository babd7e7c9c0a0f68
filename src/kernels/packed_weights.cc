#include "kernels/packed_weights.h"

#include <algorithm>
#include <utility>

#include "base/error.h"
#include "base/parallel.h"
#include "kernels/buffer.h"

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

std::int64_t panels_of(const WeightShape& shape, PanelOrder order) {
  return order == PanelOrder::kPlain ? round_up(shape.outputs, kPanel) / kPanel
                                     : 2 * (round_up(shape.outputs / 2, kPanel) / kPanel);
}

}  // namespace

std::int64_t packed_bytes(Number number, const WeightShape& shape, PanelOrder order) {
  return panels_of(shape, order) * shape.inputs * shape.taps * kPanel * bytes_of(number);
}

PackedWeights::PackedWeights(const void* weights, Number number, WeightShape shape, PanelOrder order,
                             int threads, Borrowed<std::byte> memory)
    : shape_(shape), order_(order), number_(number), panels_(panels_of(shape, order)) {
  if (memory.bytes.empty()) {
    const auto own = std::make_shared<Buffer>(bytes());
    memory = {{own->data(), static_cast<std::size_t>(bytes())}, own};
  }
  LOWRANK_CHECK(static_cast<std::int64_t>(memory.bytes.size()) == bytes());
  std::byte* const data = memory.bytes.data();
  data_ = data;
  owner_ = std::move(memory.owner);
  parallel_for(panels_, threads, [&](std::int64_t panel) {
    const auto [first, count] = outputs_of(panel, shape_, order_);
    const std::int64_t to = panel * depth() * kPanel;
    if (number_ == Number::kFloat32) {
      fill(static_cast<const float*>(weights) + first * depth(), shape_, count,
           reinterpret_cast<float*>(data) + to);
    } else {
      fill(static_cast<const std::uint16_t*>(weights) + first * depth(), shape_, count,
           reinterpret_cast<std::uint16_t*>(data) + to);
    }
  });
}

PackedWeights::PackedWeights(Borrowed<const std::byte> packed, Number number, WeightShape shape,
                             PanelOrder order)
    : shape_(shape),
      order_(order),
      number_(number),
      panels_(panels_of(shape, order)),
      owner_(std::move(packed.owner)),
      data_(packed.bytes.data()) {
  LOWRANK_CHECK(static_cast<std::int64_t>(packed.bytes.size()) == bytes());
}

const void* PackedWeights::at(std::int64_t panel, std::int64_t depth_index) const {
  return data_ + (panel * depth() + depth_index) * kPanel * bytes_of(number_);
}

}  // namespace lowrank::kernels
