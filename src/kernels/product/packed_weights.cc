#include "kernels/product/packed_weights.h"

#include <algorithm>
#include <bit>
#include <cmath>
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

void fill_any(const void* weights, Number number, const WeightShape& shape, const Outputs& outputs,
              void* to) {
  const std::int64_t from = outputs.first * shape.inputs * shape.taps;
  if (number == Number::kFloat32) {
    fill(static_cast<const float*>(weights) + from, shape, outputs.count, static_cast<float*>(to));
  } else {
    fill(static_cast<const std::uint16_t*>(weights) + from, shape, outputs.count,
         static_cast<std::uint16_t*>(to));
  }
}

// The next bfloat16 away from zero, so that the largest number of a run becomes 127 at most.
std::uint16_t bfloat16_above(float positive) {
  return static_cast<std::uint16_t>((std::bit_cast<std::uint32_t>(positive) + 0xFFFF) >> 16);
}

// One run, [kRun][kPanel] floats.
void round_run(const float* from, std::byte* to) {
  auto* const scales = reinterpret_cast<std::uint16_t*>(to);
  auto* const whole = reinterpret_cast<std::int8_t*>(to) + 2 * kPanel;
  for (std::int64_t c = 0; c < kPanel; ++c) {
    float largest = 0;
    for (std::int64_t k = 0; k < kRun; ++k) largest = std::max(largest, std::abs(from[k * kPanel + c]));
    scales[c] = bfloat16_above(largest / 127);
    const float scale = std::bit_cast<float>(static_cast<std::uint32_t>(scales[c]) << 16);
    for (std::int64_t k = 0; k < kRun; ++k) {
      const float x = scale > 0 ? from[k * kPanel + c] / scale : 0;
      whole[k * kPanel + c] = static_cast<std::int8_t>(std::lrint(std::clamp(x, -127.0F, 127.0F)));
    }
  }
}

}  // namespace

std::int64_t packed_bytes(Number number, const WeightShape& shape, PanelOrder order) {
  return panels_of(shape, order) * bytes_of(number, shape.inputs * shape.taps);
}

PackedWeights::PackedWeights(Number number, WeightShape shape, PanelOrder order, Borrowed<std::byte> memory)
    : shape_(shape), order_(order), number_(number), panels_(panels_of(shape, order)) {
  if (memory.bytes.empty()) {
    const auto own = std::make_shared<Buffer>(bytes(), Pages::kSmall);
    memory = {{own->data(), static_cast<std::size_t>(bytes())}, own};
  }
  LOWRANK_CHECK(static_cast<std::int64_t>(memory.bytes.size()) == bytes());
  data_ = memory.bytes.data();
  owner_ = std::move(memory.owner);
}

PackedWeights::PackedWeights(const void* weights, Number number, WeightShape shape, PanelOrder order,
                             int threads, Borrowed<std::byte> memory)
    : PackedWeights(number, shape, order, std::move(memory)) {
  parallel_for(panels_, threads, [&](std::int64_t panel) {
    fill_any(weights, number_, shape_, outputs_of(panel, shape_, order_),
             const_cast<void*>(at(panel, 0)));  // the memory is still ours alone
  });
}

PackedWeights PackedWeights::in_int8(const void* weights, Number number, WeightShape shape, PanelOrder order,
                                     int threads, Borrowed<std::byte> memory) {
  LOWRANK_CHECK(can_be_int8(shape));
  PackedWeights packed(Number::kInt8, shape, order, std::move(memory));
  const std::int64_t depth = packed.depth();
  parallel_for(packed.panels_, threads, [&](std::int64_t panel) {
    const Buffer as_stored(bytes_of(number, depth)), floats(panel_bytes(depth));
    fill_any(weights, number, shape, outputs_of(panel, shape, order), as_stored.data());
    simd_block_kernel().pack_panel(as_stored.data(), number, depth, floats.data());
    auto* const to = static_cast<std::byte*>(const_cast<void*>(packed.at(panel, 0)));
    for (std::int64_t run = 0; run < depth / kRun; ++run)
      round_run(floats.floats() + run * kRun * kPanel, to + run * kRunBytes);
  });
  return packed;
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
  return data_ + bytes_of(number_, panel * depth() + depth_index);
}

}  // namespace lowrank::kernels
