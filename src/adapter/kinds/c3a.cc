#include <ATen/ATen.h>

#include "adapter/kinds/kinds.h"

namespace lowrank::adapter::kinds {

Formula c3a(const Module& module, const LayerShape& layer) {
  Formula formula;
  formula.weight = [module, out = layer.out(), in = layer.in()](const at::Tensor&, Dyn) {
    const at::Tensor kernel = module.at("c3a_kernel");  // [out/b, in/b, b]
    const std::int64_t side = kernel.size(2);
    const at::Tensor places = at::arange(side, at::kLong);
    const at::Tensor turned = at::remainder(places.unsqueeze(0) - places.unsqueeze(1), side);  // [s, t]
    const at::Tensor blocks =
        kernel.index_select(2, turned.reshape(-1)).reshape({kernel.size(0), kernel.size(1), side, side});
    return blocks.permute({0, 2, 1, 3}).reshape({out, in}) / static_cast<double>(in);
  };
  return formula;
}

}  // namespace lowrank::adapter::kinds
