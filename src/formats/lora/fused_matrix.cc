#include "formats/lora/fused_matrix.h"

#include <fmt/format.h>

#include <algorithm>
#include <vector>

#include "formats/checkpoint/open_clip_names.h"

namespace lowrank::formats {
namespace {

// The parts whose first dimension is the layer's rows, or the outer factor of them; empty: the change of one row depends on
// others, so that it cannot be cut.
std::vector<std::string_view> row_parts(AdapterKind kind, const PartViews& parts) {
  switch (kind) {
    case AdapterKind::kLora:
    case AdapterKind::kLocon:
      return {"lora_up.weight", "lora_up.bias"};
    case AdapterKind::kLoha:
      if (parts.contains("hada_t1")) return {};
      return {"hada_w1_a", "hada_w2_a"};
    case AdapterKind::kLokr:
      return {parts.contains("lokr_w1") ? "lokr_w1" : "lokr_w1_a"};
    case AdapterKind::kFull:
      return {"diff", "diff_b"};
    case AdapterKind::kGlora: {
      // b1 [out, r] in the current layout, b2 [out, r] in the old one; out is the longest side.
      const auto rows = [&](std::string_view part) {
        const auto& shape = parts.find(part)->second.shape;
        return shape.empty() ? std::int64_t{0} : shape[0];
      };
      return {rows("b1.weight") > rows("b2.weight") ? "b1.weight" : "b2.weight"};
    }
    default:
      return {};
  }
}

}  // namespace

CutRows cut_in_three(AdapterKind kind, const PartViews& parts) {
  CutRows cut;
  auto rows = row_parts(kind, parts);
  if (rows.empty()) {
    cut.problem = fmt::format("{} on OpenCLIP's joined matrix of query, key and value is not supported",
                              adapter_kind_name(kind));
    return cut;
  }
  rows.push_back("bias");
  // DoRA's sizes of the outputs; those of the inputs are of the whole matrix.
  for (const std::string_view part : {"dora_scale", "lora_magnitude_vector"}) {
    const auto place = parts.find(part);
    if (place == parts.end()) continue;
    if (place->second.shape.empty() || (place->second.shape.size() > 1 && place->second.shape[0] == 1)) {
      cut.problem = "a DoRA by inputs on OpenCLIP's joined matrix of query, key and value is not supported";
      return cut;
    }
    rows.push_back(part);
  }
  for (const auto& [part, view] : parts) {
    const bool is_by_rows = std::ranges::find(rows, part) != rows.end();
    if (is_by_rows && (view.scaling != nullptr || view.shape.empty() || view.shape[0] % 3 != 0)) {
      cut.problem = fmt::format("{} is {}, which cannot be cut into the rows of query, key and value", part,
                                weights::shape_text(view.shape));
      return cut;
    }
    for (std::size_t i = 0; i < cut.parts.size(); ++i)
      cut.parts[i].emplace(part, is_by_rows ? third_of_rows(view, i) : view);
  }
  return cut;
}

}  // namespace lowrank::formats
