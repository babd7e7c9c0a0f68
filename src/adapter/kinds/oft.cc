#include <ATen/ATen.h>

#include <algorithm>
#include <optional>

#include "adapter/kinds/kinds.h"

namespace lowrank::adapter::kinds {
namespace {

// R [.., n, n] from free parameters of the same shape: Q antisymmetric, its norm over all blocks limited to
// alpha·out, then Cayley's transform.
at::Tensor rotations(const at::Tensor& blocks, std::optional<float> alpha, std::int64_t out) {
  at::Tensor q = blocks - blocks.transpose(-1, -2);
  const double limit = static_cast<double>(alpha.value_or(0)) * static_cast<double>(out);
  if (limit > 0) {
    const double length = q.norm().item<double>();
    q = q * ((std::min(length, limit) + 1e-8) / (length + 1e-8));
  }
  return cayley(q);
}

at::Tensor rescaled(const Module& module, at::Tensor rows) {
  return module.has("rescale") ? rows * module.at("rescale").reshape({-1, 1}) : rows;
}

}  // namespace

at::Tensor cayley(const at::Tensor& q) {
  const at::Tensor identity = at::eye(q.size(-1), q.options());
  // X (I − Q) = I + Q; solved from the left on the transposes.
  return at::linalg_solve((identity - q).transpose(-1, -2), (identity + q).transpose(-1, -2))
      .transpose(-1, -2);
}

Formula oft(const Module& module, const LayerShape&) {
  Formula formula;
  formula.depends_on_base = true;
  formula.weight = [module, diagonal = module.has("oft_diag")](const at::Tensor& base, Dyn) {
    const at::Tensor given = module.at(diagonal ? "oft_diag" : "oft_blocks");
    const at::Tensor r = diagonal ? given : rotations(given, module.alpha, base.size(0));
    const at::Tensor rows = base.reshape({given.size(0), given.size(1), -1});
    const at::Tensor turned = at::bmm(r.transpose(1, 2), rows).reshape({base.size(0), -1});
    return rescaled(module, turned).reshape(base.sizes()) - base;
  };
  return formula;
}

Formula boft(const Module& module, const LayerShape&) {
  const at::Tensor& blocks = module.parts.find("oft_blocks")->second;
  const std::int64_t stages = blocks.size(0), side = blocks.size(2);
  Formula formula;
  formula.depends_on_base = true;
  formula.weight = [module, stages, side](const at::Tensor& base, Dyn) {
    const at::Tensor r = rotations(module.at("oft_blocks"), module.alpha, base.size(0));
    const std::int64_t out = base.size(0), columns = base.numel() / out;
    at::Tensor rows = base.reshape({out, columns});
    for (std::int64_t i = 0; i < stages; ++i) {
      const std::int64_t half = (side / 2) << i;
      rows = rows.reshape({-1, 2, half, columns}).transpose(1, 2).reshape({-1, side, columns});
      rows = at::bmm(r[i], rows);
      rows = rows.reshape({-1, half, 2, columns}).transpose(1, 2).reshape({out, columns});
    }
    return rescaled(module, rows).reshape(base.sizes()) - base;
  };
  return formula;
}

}  // namespace lowrank::adapter::kinds
