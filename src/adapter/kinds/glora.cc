#include <ATen/ATen.h>

#include "adapter/kinds/kinds.h"

namespace lowrank::adapter::kinds {

Formula glora(const Module& module, const LayerShape& layer) {
  const auto [old, rank] = formats::glora_layout(shapes_of(module), layer.out());
  // `outer` multiplies from the left: B = outer_b·inner_b, A = outer_a·inner_a.
  const char *outer_b = old ? "b2.weight" : "b1.weight", *inner_b = old ? "b1.weight" : "b2.weight";
  const char *outer_a = old ? "a2.weight" : "a1.weight", *inner_a = old ? "a1.weight" : "a2.weight";
  Formula formula{.rank = rank};
  formula.depends_on_base = true;
  formula.weight = [=](const at::Tensor& base, Dyn) {
    const at::Tensor left = flat(module.at(outer_b)), right = flat(module.at(inner_b));
    const at::Tensor b =
        module.has("bm.weight") ? tucker(left, module.at("bm.weight"), right) : at::matmul(left, right);
    // W·A contracts the input channels: bring them last, multiply, bring them back.
    const at::Tensor rows = base.transpose(1, -1);
    const at::Tensor product =
        at::matmul(at::matmul(rows, flat(module.at(outer_a))), flat(module.at(inner_a)));
    return b.reshape(base.sizes()) + product.transpose(1, -1);
  };
  return formula;
}

}  // namespace lowrank::adapter::kinds
