#include <ATen/ATen.h>

#include "adapter/kinds/kinds.h"

namespace lowrank::adapter::kinds {

Formula vera(const Module& module, const LayerShape& layer) {
  Formula formula{.rank = module.parts.find("vera_lambda_d")->second.numel()};
  formula.weight = [module, out = layer.out(), in = layer.in()](const at::Tensor&, Dyn) {
    const auto column = [&](const char* part) { return module.at(part).reshape({-1, 1}); };
    return at::matmul(column("vera_lambda_b") * module.at("vera_B").narrow(0, 0, out),
                      column("vera_lambda_d") * module.at("vera_A").narrow(1, 0, in));
  };
  return formula;
}

}  // namespace lowrank::adapter::kinds
