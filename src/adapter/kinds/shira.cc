#include <ATen/ATen.h>

#include "adapter/kinds/kinds.h"

namespace lowrank::adapter::kinds {

Formula shira(const Module& module, const LayerShape& layer) {
  Formula formula;
  formula.weight = [module, out = layer.out(), in = layer.in()](const at::Tensor&, Dyn) {
    const at::Tensor places = module.parts.find("shira_indices")->second.to(at::kLong);
    at::Tensor delta = at::zeros({out, in}, at::kFloat);
    delta.view(-1).index_add_(0, places[0] * in + places[1], module.at("shira_weight").reshape(-1));
    return delta;
  };
  return formula;
}

}  // namespace lowrank::adapter::kinds
