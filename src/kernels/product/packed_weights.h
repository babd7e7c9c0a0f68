// Weights in the order in which the block product reads them: [panel of 16 outputs][tap · input][16], in the
// type in which they were stored and unchanged, or rounded to kInt8. Made once per layer.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>

#include "kernels/product/block_kernel.h"

namespace lowrank::kernels {

// How outputs are laid into panels. kGated: outputs 0 … n/2 are values and the rest their gates (GEGLU), a
// panel of values is followed by the panel of its gates.
enum class PanelOrder { kPlain, kGated };

struct WeightShape {
  std::int64_t outputs = 0, inputs = 0, taps = 1;  // stored as [outputs][inputs][taps]
};

inline bool can_be_int8(const WeightShape& shape) {
  return shape.inputs % kRun == 0;
}

// Bytes that the weights take when packed.
std::int64_t packed_bytes(Number number, const WeightShape& shape, PanelOrder order);

// Memory of somebody else, of packed_bytes() bytes and aligned to 64; `owner` keeps it alive.
template <typename Byte>
struct Borrowed {
  std::span<Byte> bytes;
  std::shared_ptr<const void> owner;
};

class PackedWeights {
 public:
  // Packs `weights`, in memory of its own or into `memory`.
  PackedWeights(const void* weights, Number number, WeightShape shape, PanelOrder order, int threads,
                Borrowed<std::byte> memory = {});
  // The same as kInt8. can_be_int8(shape) must hold.
  static PackedWeights in_int8(const void* weights, Number number, WeightShape shape, PanelOrder order,
                               int threads, Borrowed<std::byte> memory = {});
  // Packed before, and kept somewhere.
  PackedWeights(Borrowed<const std::byte> packed, Number number, WeightShape shape, PanelOrder order);

  const WeightShape& shape() const { return shape_; }
  PanelOrder order() const { return order_; }
  Number number() const { return number_; }
  std::int64_t depth() const { return shape_.inputs * shape_.taps; }
  std::int64_t panels() const { return panels_; }
  std::int64_t bytes() const { return packed_bytes(number_, shape_, order_); }
  // Numbers of panel `panel` from depth `depth` on.
  const void* at(std::int64_t panel, std::int64_t depth) const;

 private:
  PackedWeights(Number number, WeightShape shape, PanelOrder order, Borrowed<std::byte> memory);

  WeightShape shape_;
  PanelOrder order_;
  Number number_;
  std::int64_t panels_;
  std::shared_ptr<const void> owner_;
  const std::byte* data_;
};

}  // namespace lowrank::kernels
