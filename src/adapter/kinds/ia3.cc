#include <ATen/ATen.h>
#include <fmt/format.h>

#include "adapter/kinds/kinds.h"

namespace lowrank::adapter::kinds {

Fit ia3(const Module& module, const LayerShape& layer) {
  const bool on_input = module.at("on_input").reshape(-1).any().item<bool>();
  const at::Tensor& weight = module.parts.find("weight")->second;
  const std::int64_t wanted = on_input ? layer.in() : layer.out();
  if (weight.numel() != wanted) {
    return Misfit{fmt::format("weight has {} elements, the layer {} has {} {}", weight.numel(),
                              sizes_text(layer.sizes), wanted, on_input ? "inputs" : "outputs")};
  }
  Formula formula;
  formula.depends_on_base = true;
  formula.weight = [module, on_input](const at::Tensor& base, Dyn) {
    std::vector<std::int64_t> along(static_cast<std::size_t>(base.dim()), 1);
    along[on_input ? 1 : 0] = -1;
    return base * module.at("weight").reshape(along);
  };
  return formula;
}

}  // namespace lowrank::adapter::kinds
