#include <ATen/ATen.h>

#include "adapter/kinds/kinds.h"

namespace lowrank::adapter::kinds {

Formula ia3(const Module& module, const LayerShape&) {
  const bool is_peft = module.kind == formats::AdapterKind::kIa3Peft;
  const bool on_input = shapes_of(module).facts.on_input;
  // PEFT's vector is what the weight is multiplied by, LyCORIS' what is added of it.
  const at::Tensor gain = is_peft ? module.at("ia3_l").reshape(-1) - 1 : module.at("weight").reshape(-1);
  Formula formula;
  formula.depends_on_base = true;
  if (is_peft && !on_input) formula.bias_gain = gain;
  formula.weight = [gain, on_input](const at::Tensor& base, Dyn) {
    std::vector<std::int64_t> along(static_cast<std::size_t>(base.dim()), 1);
    along[on_input ? 1 : 0] = -1;
    return base * gain.reshape(along);
  };
  return formula;
}

}  // namespace lowrank::adapter::kinds
