#include <ATen/ATen.h>

#include <algorithm>

#include "adapter/kinds/kinds.h"

namespace lowrank::adapter::kinds {

Formula lora(const Module& module, const LayerShape&) {
  const at::Tensor& down = module.parts.find("lora_down.weight")->second;
  const at::Tensor& up = module.parts.find("lora_up.weight")->second;
  Formula formula{.rank = size_at(down, 0)};
  const std::int64_t rank = formula.rank;
  if (module.has("lora_up.bias")) formula.bias = module.at("lora_up.bias");
  if (module.has("lora_mid.weight")) {
    formula.weight = [module](const at::Tensor&, Dyn) {
      return tucker(flat(module.at("lora_up.weight")), module.at("lora_mid.weight"),
                    flat(module.at("lora_down.weight")));
    };
  } else if (module.has("lora_diag") || module.has("lora_E")) {
    formula.weight = [module](const at::Tensor&, Dyn) {
      const at::Tensor diagonal =
          module.at(module.has("lora_diag") ? "lora_diag" : "lora_E").reshape({1, -1});
      return at::matmul(flat(module.at("lora_up.weight")) * diagonal, flat(module.at("lora_down.weight")));
    };
  } else {
    formula.factors = Factors{.down = down, .up = up};
    formula.weight = [module, rank](const at::Tensor&, Dyn dyn) {
      const std::int64_t kept = std::clamp<std::int64_t>(dyn.value_or(rank), 0, rank);
      return at::matmul(flat(module.at("lora_up.weight")).narrow(1, 0, kept),
                        flat(module.at("lora_down.weight")).narrow(0, 0, kept));
    };
  }
  return formula;
}

}  // namespace lowrank::adapter::kinds
