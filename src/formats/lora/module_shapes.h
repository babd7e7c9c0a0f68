// The shapes of one module's tensors, and those of a layer that it may meet.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>

#include "formats/lora/lora_file.h"

namespace lowrank::formats {

// Of the dimensions from `first` on; they come from a checked header, so it does not overflow.
inline std::int64_t product(const weights::Shape& shape, std::size_t first = 0) {
  std::int64_t value = 1;
  for (std::size_t i = first; i < shape.size(); ++i) value *= shape[i];
  return value;
}

enum class LayerForm { kLinear, kConvolution, kNorm, kEmbedding };

// The weight of a layer: linear [out, in], convolution [out, in, kh, kw], norm [c], embedding [rows, width].
struct LayerSizes {
  LayerForm form = LayerForm::kLinear;
  weights::Shape sizes;

  std::int64_t size(std::size_t dimension) const { return dimension < sizes.size() ? sizes[dimension] : 1; }
  std::int64_t out() const { return size(0); }
  std::int64_t in() const { return size(1); }
  std::int64_t columns() const;  // in · kh · kw
};

struct ModuleShapes {
  AdapterKind kind = AdapterKind::kLora;
  std::map<std::string, weights::Shape, std::less<>> parts;  // those shared with other modules too
  EntryFacts facts;

  bool has(std::string_view part) const { return parts.find(part) != parts.end(); }
};
ModuleShapes shapes_of(const LoraEntry& entry);

}  // namespace lowrank::formats
