// Whether the tensors of one module fit a layer, told by shapes alone: the one place where the kinds' shapes
// are compared, for those who only look at headers and for the engine.
//
// Sources: the tables of LyCORIS, kohya sd-scripts and PEFT 0.21; see adapter/kinds/kinds.h for the formulas.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "formats/lora/module_shapes.h"

namespace lowrank::formats {

struct ShapeFit {
  std::string
      reason;  // why not: "lora_up.weight is [7, 4], but the layer [8, 16] needs [8, 4]"; "" when it fits
  // It fits the first 4 of an inpainting model's 9 input channels; the others stay as they are.
  bool is_narrow = false;
  bool fits() const { return reason.empty(); }
};
inline constexpr std::int64_t kInpaintingInputs = 9, kLatentInputs = 4;
// A weight [o, i] and one [o, i, 1, 1] are interchangeable, and so are [r, i, kh, kw] and [r, i·kh·kw].
ShapeFit fit_shapes(const ModuleShapes& module, const LayerSizes& layer);

// The pairs of dimensions that must both be the rank; the first is where the rank is read. Empty: a kind without.
struct RankPair {
  std::string_view first;
  std::size_t first_index;
  std::string_view second;
  std::size_t second_index;
};
std::vector<RankPair> rank_pairs(const ModuleShapes& module);

// GLoRA's two layouts share their names; shapes tell them apart. With in = out both can hold: then a2's first
// dimension decides, which is `out` in the old one, and without a layer the smaller size is taken for the rank.
struct GloraLayout {
  bool is_old = false;  // before LyCORIS 1.9: B = b2·b1, A = a2·a1
  std::int64_t rank = 0;
};
GloraLayout glora_layout(const ModuleShapes& module, std::optional<std::int64_t> out);

// Which norm DoRA takes. PEFT's `lora_magnitude_vector` is per output always; of LyCORIS' `dora_scale` the shape
// says: a vector is per output where its length fits, else per input; otherwise the place of the 1 decides. Of a square
// convolution [1, n, 1, 1] may be either: there the file's other layers tell (EntryFacts).
enum class DoraNorm { kRows, kColumns };
std::optional<DoraNorm> dora_norm(const ModuleShapes& module, const LayerSizes& layer);

// The side n of a skew-symmetric matrix whose upper triangle has `elements` numbers; 0: of none.
std::int64_t triangle_side(std::int64_t elements);

}  // namespace lowrank::formats
