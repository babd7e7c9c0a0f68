#include <ATen/ATen.h>

#include "adapter/kinds/kinds.h"

namespace lowrank::adapter::kinds {

Formula hira(const Module& module, const LayerShape&) {
  Formula formula{.rank = size_at(module.parts.find("hira_A")->second, 0)};
  formula.depends_on_base = true;
  formula.weight = [module](const at::Tensor& base, Dyn) {
    return base * at::matmul(flat(module.at("hira_B")), flat(module.at("hira_A"))).reshape(base.sizes());
  };
  return formula;
}

}  // namespace lowrank::adapter::kinds
