#include <ATen/ATen.h>
#include <fmt/format.h>

#include <algorithm>

#include "adapter/kinds/kinds.h"

namespace lowrank::adapter::kinds {
namespace {

// R [.., n, n] from free parameters of the same shape: Q antisymmetric, its norm over all blocks limited to
// alpha·out, then Cayley's transform (I + Q)(I − Q)⁻¹.
at::Tensor rotations(const at::Tensor& blocks, std::optional<float> alpha, std::int64_t out) {
  at::Tensor q = blocks - blocks.transpose(-1, -2);
  const double limit = static_cast<double>(alpha.value_or(0)) * static_cast<double>(out);
  if (limit > 0) {
    const double length = q.norm().item<double>();
    q = q * ((std::min(length, limit) + 1e-8) / (length + 1e-8));
  }
  const at::Tensor identity = at::eye(blocks.size(-1), blocks.options());
  // X (I − Q) = I + Q; solved from the left on the transposes.
  return at::linalg_solve((identity - q).transpose(-1, -2), (identity + q).transpose(-1, -2))
      .transpose(-1, -2);
}

at::Tensor rescaled(const Module& module, at::Tensor rows) {
  return module.has("rescale") ? rows * module.at("rescale").reshape({-1, 1}) : rows;
}

std::optional<Misfit> rescale_misfit(const Module& module, const LayerShape& layer) {
  if (!module.has("rescale") || module.parts.find("rescale")->second.numel() == layer.out())
    return std::nullopt;
  return Misfit{fmt::format("rescale has {} elements, the layer {} has {} outputs",
                            module.parts.find("rescale")->second.numel(), sizes_text(layer.sizes),
                            layer.out())};
}

}  // namespace

Fit oft(const Module& module, const LayerShape& layer) {
  const bool diagonal = module.has("oft_diag");
  const char* name = diagonal ? "oft_diag" : "oft_blocks";
  const at::Tensor& blocks = module.parts.find(name)->second;
  if (blocks.dim() != 3 || blocks.size(1) != blocks.size(2) ||
      blocks.size(0) * blocks.size(1) != layer.out()) {
    return Misfit{fmt::format("{} is {}, the layer {} needs [k, n, n] with k·n = {}", name,
                              sizes_text(blocks.sizes()), sizes_text(layer.sizes), layer.out())};
  }
  if (const auto misfit = rescale_misfit(module, layer)) return *misfit;
  Formula formula;
  formula.depends_on_base = true;
  formula.weight = [module, name, diagonal](const at::Tensor& base, Dyn) {
    const at::Tensor given = module.at(name);
    const at::Tensor r = diagonal ? given : rotations(given, module.alpha, base.size(0));
    const at::Tensor rows = base.reshape({given.size(0), given.size(1), -1});
    const at::Tensor turned = at::bmm(r.transpose(1, 2), rows).reshape({base.size(0), -1});
    return rescaled(module, turned).reshape(base.sizes()) - base;
  };
  return formula;
}

Fit boft(const Module& module, const LayerShape& layer) {
  const at::Tensor& blocks = module.parts.find("oft_blocks")->second;
  if (blocks.dim() != 4 || blocks.size(2) != blocks.size(3) ||
      blocks.size(1) * blocks.size(2) != layer.out()) {
    return Misfit{fmt::format("oft_blocks is {}, the layer {} needs [stages, k, n, n] with k·n = {}",
                              sizes_text(blocks.sizes()), sizes_text(layer.sizes), layer.out())};
  }
  const std::int64_t stages = blocks.size(0), side = blocks.size(2);
  // The last stage exchanges rows at distance 2^(stages − 1)·n/2, in pairs.
  if (side % 2 != 0 || stages > 62 || (layer.out() % ((side / 2) << stages)) != 0 ||
      ((side / 2) << stages) > layer.out()) {
    return Misfit{
        fmt::format("oft_blocks has {} stages of blocks {} wide, which do not divide the layer's {} outputs",
                    stages, side, layer.out())};
  }
  if (const auto misfit = rescale_misfit(module, layer)) return *misfit;
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
