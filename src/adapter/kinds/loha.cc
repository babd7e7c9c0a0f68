#include <ATen/ATen.h>

#include "adapter/kinds/kinds.h"

namespace lowrank::adapter::kinds {

Fit loha(const Module& module, const LayerShape& layer) {
  Formula formula{.rank = size_at(module.parts.find("hada_w1_b")->second, 0)};
  const std::int64_t rank = formula.rank, rank2 = size_at(module.parts.find("hada_w2_b")->second, 0);
  ShapeCheck check(module, layer);
  if (module.has("hada_t1") && module.has("hada_t2")) {
    const std::int64_t height = layer.kernel_height(), width = layer.kernel_width();
    check.part("hada_w1_a", {rank, layer.out()}).part("hada_w1_b", {rank, layer.in()});
    check.part("hada_w2_a", {rank2, layer.out()}).part("hada_w2_b", {rank2, layer.in()});
    check.part("hada_t1", {rank, rank, height, width}).part("hada_t2", {rank2, rank2, height, width});
    formula.weight = [module](const at::Tensor&, Dyn) {
      const auto product = [&](const char* t, const char* a, const char* b) {
        return tucker(flat(module.at(a)).t(), module.at(t), flat(module.at(b)));
      };
      return product("hada_t1", "hada_w1_a", "hada_w1_b") * product("hada_t2", "hada_w2_a", "hada_w2_b");
    };
  } else {
    check.part("hada_w1_a", {layer.out(), rank}).part("hada_w1_b", {rank, layer.columns()});
    check.part("hada_w2_a", {layer.out(), rank2}).part("hada_w2_b", {rank2, layer.columns()});
    formula.weight = [module](const at::Tensor&, Dyn) {
      return at::matmul(flat(module.at("hada_w1_a")), flat(module.at("hada_w1_b"))) *
             at::matmul(flat(module.at("hada_w2_a")), flat(module.at("hada_w2_b")));
    };
  }
  if (!check.ok()) return check.misfit();
  return formula;
}

}  // namespace lowrank::adapter::kinds
