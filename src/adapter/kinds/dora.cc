#include <ATen/ATen.h>

#include <utility>

#include "adapter/kinds/kinds.h"

namespace lowrank::adapter::kinds {

Formula dora(const Module& module, const LayerShape& layer, Formula formula) {
  const bool by_rows = formats::dora_norm(shapes_of(module), sizes_of(layer)) == formats::DoraNorm::kRows;
  const char* name = module.has("lora_magnitude_vector") ? "lora_magnitude_vector" : "dora_scale";
  formula.depends_on_base = true;
  formula.takes_from_checkpoint = false;
  formula.factors.reset();
  formula.weight = [module, name, by_rows, inner = std::move(formula.weight)](const at::Tensor& base,
                                                                              Dyn dyn) {
    constexpr double kEpsilon = 0x1p-23;
    const at::Tensor v = base + inner(base, dyn);
    const std::int64_t kept = by_rows ? 0 : 1;
    std::vector<std::int64_t> shape(static_cast<std::size_t>(v.dim()), 1), over;
    for (std::int64_t d = 0; d < v.dim(); ++d)
      if (d != kept) over.push_back(d);
    shape[static_cast<std::size_t>(kept)] = -1;
    const at::Tensor length = at::norm(v, 2, over, /*keepdim=*/true) + kEpsilon;
    return v * (module.at(name).reshape(shape) / length) - base;
  };
  return formula;
}

}  // namespace lowrank::adapter::kinds
