#include <ATen/ATen.h>

#include "adapter/kinds/kinds.h"

namespace lowrank::adapter::kinds {
namespace {

// Each column less its parts along those before it, then of unit length.
at::Tensor orthonormal(const at::Tensor& columns) {
  std::vector<at::Tensor> units;
  for (std::int64_t j = 0; j < columns.size(1); ++j) {
    at::Tensor u = columns.select(1, j);
    for (const at::Tensor& unit : units) u = u - at::dot(unit, u) * unit;
    units.push_back(u / u.norm());
  }
  return at::stack(units, 1);
}

}  // namespace

Formula hra(const Module& module, const LayerShape&) {
  Formula formula{.rank = size_at(module.parts.find("hra_u")->second, 1)};
  formula.depends_on_base = true;
  formula.weight = [module](const at::Tensor& base, Dyn) {
    const at::Tensor given = module.at("hra_u");
    at::Tensor rows = flat(base);
    if (module.settings.is_orthonormal) {
      const at::Tensor u = orthonormal(given);
      return (-2 * at::matmul(at::matmul(rows, u), u.t())).reshape(base.sizes());
    }
    const at::Tensor u = given / at::norm(given, 2, {0}, /*keepdim=*/true);
    for (std::int64_t j = 0; j < u.size(1); ++j) {
      const at::Tensor column = u.narrow(1, j, 1);
      rows = rows - 2 * at::matmul(at::matmul(rows, column), column.t());
    }
    return rows.reshape(base.sizes()) - base;
  };
  return formula;
}

}  // namespace lowrank::adapter::kinds
