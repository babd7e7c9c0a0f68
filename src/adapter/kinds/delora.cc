#include <ATen/ATen.h>

#include "adapter/kinds/kinds.h"

namespace lowrank::adapter::kinds {

Formula delora(const Module& module, const LayerShape&) {
  Formula formula{.rank = size_at(module.parts.find("delora_A")->second, 0)};
  formula.weight = [module, rank = formula.rank](const at::Tensor&, Dyn) {
    constexpr double kShortest = 1e-4;  // lengths below count as this much, as in PEFT
    const at::Tensor a = flat(module.at("delora_A")), b = flat(module.at("delora_B"));
    const at::Tensor lengths =
        at::norm(a, 2, {1}).clamp_min(kShortest) * at::norm(b, 2, {0}).clamp_min(kShortest);
    const at::Tensor diagonal = module.at("delora_lambda").reshape({1}) / static_cast<double>(rank) / lengths;
    return at::matmul(b * diagonal, a) * module.at("delora_w_norm").reshape({1, -1});
  };
  return formula;
}

}  // namespace lowrank::adapter::kinds
