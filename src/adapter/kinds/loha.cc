#include <ATen/ATen.h>

#include "adapter/kinds/kinds.h"

namespace lowrank::adapter::kinds {

Formula loha(const Module& module, const LayerShape&) {
  Formula formula{.rank = size_at(module.parts.find("hada_w1_b")->second, 0)};
  if (module.has("hada_t1") && module.has("hada_t2")) {
    formula.weight = [module](const at::Tensor&, Dyn) {
      const auto product = [&](const char* t, const char* a, const char* b) {
        return tucker(flat(module.at(a)).t(), module.at(t), flat(module.at(b)));
      };
      return product("hada_t1", "hada_w1_a", "hada_w1_b") * product("hada_t2", "hada_w2_a", "hada_w2_b");
    };
  } else {
    formula.weight = [module](const at::Tensor&, Dyn) {
      return at::matmul(flat(module.at("hada_w1_a")), flat(module.at("hada_w1_b"))) *
             at::matmul(flat(module.at("hada_w2_a")), flat(module.at("hada_w2_b")));
    };
  }
  return formula;
}

}  // namespace lowrank::adapter::kinds
