#include <ATen/ATen.h>

#include "adapter/kinds/kinds.h"

namespace lowrank::adapter::kinds {

Fit full(const Module& module, const LayerShape& layer) {
  Formula formula;
  ShapeCheck check(module, layer);
  switch (layer.sizes.size()) {
    case 1:
      check.part("diff", {layer.out()});
      break;
    default:
      check.part("diff", {layer.out(), layer.in(), layer.kernel_height(), layer.kernel_width()});
      break;
  }
  formula.weight = [module](const at::Tensor&, Dyn) { return module.at("diff"); };
  if (module.has("diff_b")) {
    check.part("diff_b", {layer.out()});
    formula.bias = module.at("diff_b");
  }
  if (!check.ok()) return check.misfit();
  return formula;
}

Fit norm(const Module& module, const LayerShape& layer) {
  Formula formula;
  ShapeCheck check(module, layer);
  check.part("w_norm", {layer.out()});
  formula.weight = [module](const at::Tensor&, Dyn) { return module.at("w_norm"); };
  if (module.has("b_norm")) {
    check.part("b_norm", {layer.out()});
    formula.bias = module.at("b_norm");
  }
  if (!check.ok()) return check.misfit();
  return formula;
}

}  // namespace lowrank::adapter::kinds
