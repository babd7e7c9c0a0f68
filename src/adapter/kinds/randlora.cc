#include <ATen/ATen.h>

#include <algorithm>

#include "adapter/kinds/kinds.h"

namespace lowrank::adapter::kinds {

Formula randlora(const Module& module, const LayerShape& layer) {
  Formula formula{.rank = size_at(module.parts.find("randlora_lambda")->second, 0)};
  formula.weight = [module, out = layer.out(), in = layer.columns()](const at::Tensor&, Dyn) {
    const at::Tensor lambda = module.at("randlora_lambda"), gamma = module.at("randlora_gamma");
    const std::int64_t shorter = std::min(out, in), longer = std::max(out, in), bases = lambda.size(1);
    // [r, k, n] and [m, k, r], of which PEFT makes [r·k, n] and [m, k·r] without exchanging r and k.
    const at::Tensor small =
        (lambda.unsqueeze(2) * module.at("randlora_A").narrow(2, 0, shorter) * gamma).reshape({-1, shorter});
    const at::Tensor large =
        module.at("randlora_B").narrow(0, 0, longer).narrow(1, 0, bases).reshape({longer, -1});
    const at::Tensor product = at::matmul(large, small);  // [longer, shorter]
    return in <= out ? product : product.t().contiguous();
  };
  return formula;
}

}  // namespace lowrank::adapter::kinds
