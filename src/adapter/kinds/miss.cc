#include <ATen/ATen.h>

#include "adapter/kinds/kinds.h"

namespace lowrank::adapter::kinds {

Formula miss(const Module& module, const LayerShape& layer) {
  const at::Tensor& given = module.parts.find("miss_block")->second;
  const std::int64_t out = layer.out(), in = layer.in();
  Formula formula{.rank = given.size(given.dim() == 3 ? 1 : 0)};
  const std::int64_t rank = formula.rank;
  if (given.dim() == 3) {
    formula.depends_on_base = true;
    formula.weight = [module, rank, out, in](const at::Tensor& base, Dyn) {
      const at::Tensor block = module.at("miss_block");  // [out/r, r, r]
      const at::Tensor squares =
          flat(base).reshape({out / rank, rank, in / rank, rank}).permute({2, 0, 1, 3});
      return (at::matmul(squares, block) + block).permute({1, 2, 0, 3}).reshape({out, in});
    };
    return formula;
  }
  formula.weight = [module, rank, out, in](const at::Tensor&, Dyn) {
    const at::Tensor block = module.at("miss_block");  // [r, m]
    const at::Tensor rows = block.repeat({1, out / block.size(1)}).t();
    return rows.repeat({1, (in + rank - 1) / rank}).narrow(1, 0, in);
  };
  return formula;
}

}  // namespace lowrank::adapter::kinds
