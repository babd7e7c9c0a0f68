#include <ATen/ATen.h>

#include <cmath>

#include "adapter/kinds/kinds.h"

namespace lowrank::adapter::kinds {
namespace {

// Skew-symmetric Q [k, n, n] from its upper triangles [k, n(n − 1)/2], row by row.
at::Tensor skew(const at::Tensor& triangles, std::int64_t side) {
  const at::Tensor places = at::triu_indices(side, side, 1);
  at::Tensor q = at::zeros({triangles.size(0), side, side}, at::kFloat);
  q.index_put_({at::indexing::Slice(), places[0], places[1]}, triangles);
  return q - q.transpose(1, 2);
}

at::Tensor limited(const at::Tensor& q, double limit) {
  const double longest = limit / std::sqrt(static_cast<double>(q.size(0)));
  const at::Tensor length = at::norm(q, 2, {1, 2}, /*keepdim=*/true);
  return at::where(length <= longest, q, q * (longest / length));
}

// I + 2Q + 2Q² + … + 2Q^(t−2) + Q^(t−1); of three terms as of four, as PEFT does.
at::Tensor series(const at::Tensor& q, int terms) {
  at::Tensor sum = at::eye(q.size(1), q.options()).expand_as(q).clone();
  if (terms > 1) sum.add_(q, 2);
  if (terms <= 2) return sum;
  at::Tensor power = at::bmm(q, q);
  sum.add_(power, 2);
  for (int term = 3; term < terms - 1; ++term) {
    power = at::bmm(power, q);
    sum.add_(power, 2);
  }
  return sum.add_(at::bmm(power, q));
}

// W·blockdiag(R)ᵀ, W [out, columns], R [k, n, n]; one block serves for all.
at::Tensor turned(const at::Tensor& rows, const at::Tensor& r) {
  const std::int64_t side = r.size(1), blocks = rows.size(1) / side;
  const at::Tensor split = rows.reshape({rows.size(0), blocks, side}).transpose(0, 1);
  return at::bmm(split, r.transpose(1, 2).expand({blocks, side, side})).transpose(0, 1).reshape(rows.sizes());
}

}  // namespace

Formula oft_peft(const Module& module, const LayerShape&) {
  Formula formula;
  formula.depends_on_base = true;
  formula.weight = [module](const at::Tensor& base, Dyn) {
    const at::Tensor triangles = module.at("oft_R");
    const auto& settings = module.settings;
    at::Tensor q = skew(triangles, formats::triangle_side(triangles.size(1)));
    if (settings.rotation_limit > 0) q = limited(q, settings.rotation_limit);
    // Cayley's transform of −Q is (I − Q)(I + Q)⁻¹.
    const at::Tensor r = settings.cayley_terms > 0 ? series(q, settings.cayley_terms) : cayley(-q);
    return turned(flat(base), r).reshape(base.sizes()) - base;
  };
  return formula;
}

Formula boft_peft(const Module& module, const LayerShape&) {
  Formula formula;
  formula.depends_on_base = true;
  formula.weight = [module](const at::Tensor& base, Dyn) {
    const at::Tensor blocks = module.at("boft_R");
    const at::Tensor r = cayley((blocks.transpose(2, 3) - blocks) / 2);
    const std::int64_t factors = r.size(0), half = r.size(2) / 2;
    at::Tensor rows = flat(base);
    for (std::int64_t i = 0; i < factors; ++i) {
      // Halves of blocks in pairs: those at even places come first within each 2^(i+1) of them.
      const std::int64_t pairs = std::int64_t{1} << i;
      if (factors > 1)
        rows = rows.reshape({rows.size(0), -1, 2, pairs, half}).transpose(2, 3).reshape(rows.sizes());
      rows = turned(rows, r[i]);
      if (factors > 1)
        rows = rows.reshape({rows.size(0), -1, pairs, 2, half}).transpose(2, 3).reshape(rows.sizes());
    }
    return (rows * module.at("boft_s").reshape({-1, 1})).reshape(base.sizes()) - base;
  };
  return formula;
}

}  // namespace lowrank::adapter::kinds
