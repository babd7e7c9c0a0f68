#include <ATen/ATen.h>
#include <fmt/format.h>

#include <utility>

#include "adapter/kinds/kinds.h"

namespace lowrank::adapter::kinds {
namespace {

enum class Along { kRows, kColumns };

// Which norm the shape of dora_scale asks for. A vector is per output row when its length fits (PEFT), else
// per input column; otherwise the place of the 1 decides.
std::optional<Along> along(const at::Tensor& scale, const LayerShape& layer) {
  if (scale.dim() <= 1) {
    if (scale.numel() == layer.out()) return Along::kRows;
    if (scale.numel() == layer.in()) return Along::kColumns;
    return std::nullopt;
  }
  if (scale.size(0) == layer.out() && scale.numel() == layer.out()) return Along::kRows;
  if (scale.size(0) == 1 && scale.size(1) == layer.in() && scale.numel() == layer.in())
    return Along::kColumns;
  return std::nullopt;
}

}  // namespace

Fit dora(const Module& module, const LayerShape& layer, Formula formula) {
  const at::Tensor& scale = module.parts.find("dora_scale")->second;
  const auto direction = along(scale, layer);
  if (!direction || layer.sizes.size() < 2) {
    return Misfit{fmt::format("dora_scale is {}, the layer {} needs [{}, 1] or [1, {}]",
                              sizes_text(scale.sizes()), sizes_text(layer.sizes), layer.out(), layer.in())};
  }
  formula.depends_on_base = true;
  formula.factors.reset();
  formula.weight = [module, direction = *direction, inner = std::move(formula.weight)](const at::Tensor& base,
                                                                                       Dyn dyn) {
    constexpr double kEpsilon = 0x1p-23;
    const at::Tensor v = base + inner(base, dyn);
    const std::int64_t kept = direction == Along::kRows ? 0 : 1;
    std::vector<std::int64_t> shape(static_cast<std::size_t>(v.dim()), 1), over;
    for (std::int64_t d = 0; d < v.dim(); ++d)
      if (d != kept) over.push_back(d);
    shape[static_cast<std::size_t>(kept)] = -1;
    const at::Tensor length = at::norm(v, 2, over, /*keepdim=*/true) + kEpsilon;
    return v * (module.at("dora_scale").reshape(shape) / length) - base;
  };
  return formula;
}

}  // namespace lowrank::adapter::kinds
