#include <ATen/ATen.h>

#include <algorithm>

#include "adapter/kinds/kinds.h"

namespace lowrank::adapter::kinds {

Fit lora(const Module& module, const LayerShape& layer) {
  const at::Tensor& down = module.parts.find("lora_down.weight")->second;
  const at::Tensor& up = module.parts.find("lora_up.weight")->second;
  Formula formula{.rank = size_at(down, 0)};
  const std::int64_t rank = formula.rank, height = layer.kernel_height(), width = layer.kernel_width();
  ShapeCheck check(module, layer);
  check.part("lora_up.weight", {layer.out(), rank});
  if (module.has("lora_mid.weight")) {
    check.part("lora_down.weight", {rank, layer.in()}).part("lora_mid.weight", {rank, rank, height, width});
    formula.weight = [module](const at::Tensor&, Dyn) {
      return tucker(flat(module.at("lora_up.weight")), module.at("lora_mid.weight"),
                    flat(module.at("lora_down.weight")));
    };
  } else {
    check.part("lora_down.weight", {rank, layer.in(), height, width});
    formula.factors = Factors{.down = down, .up = up};
    formula.weight = [module, rank](const at::Tensor&, Dyn dyn) {
      const std::int64_t kept = std::clamp<std::int64_t>(dyn.value_or(rank), 0, rank);
      return at::matmul(flat(module.at("lora_up.weight")).narrow(1, 0, kept),
                        flat(module.at("lora_down.weight")).narrow(0, 0, kept));
    };
  }
  if (module.has("lora_up.bias")) {
    check.part("lora_up.bias", {layer.out()});
    formula.bias = module.at("lora_up.bias");
  }
  if (!check.ok()) return check.misfit();
  return formula;
}

}  // namespace lowrank::adapter::kinds
