#include <ATen/ATen.h>

#include "adapter/kinds/kinds.h"

namespace lowrank::adapter::kinds {

Formula full(const Module& module, const LayerShape&) {
  Formula formula;
  formula.weight = [module](const at::Tensor&, Dyn) { return module.at("diff"); };
  if (module.has("diff_b")) formula.bias = module.at("diff_b");
  return formula;
}

Formula norm(const Module& module, const LayerShape&) {
  Formula formula;
  formula.weight = [module](const at::Tensor&, Dyn) { return module.at("w_norm"); };
  if (module.has("b_norm")) formula.bias = module.at("b_norm");
  return formula;
}

}  // namespace lowrank::adapter::kinds
