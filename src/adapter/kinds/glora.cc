#include <ATen/ATen.h>

#include "adapter/kinds/kinds.h"

namespace lowrank::adapter::kinds {
namespace {

// The two layouts share their names; shapes tell them apart. With in = out both can hold, then a2's first
// dimension decides.
bool is_old_layout(const Module& module, const LayerShape& layer) {
  const auto size = [&](const char* part, std::int64_t dimension) {
    return size_at(module.parts.find(part)->second, dimension);
  };
  const std::int64_t old_rank = size("b2.weight", 1), rank = size("b2.weight", 0);
  const bool old = old_rank == size("b1.weight", 0) && old_rank == size("a1.weight", 0) &&
                   old_rank == size("a2.weight", 1);
  const bool current =
      rank == size("b1.weight", 1) && rank == size("a1.weight", 1) && rank == size("a2.weight", 0);
  return old && (!current || size("a2.weight", 0) == layer.out());
}

}  // namespace

Fit glora(const Module& module, const LayerShape& layer) {
  const bool old = is_old_layout(module, layer);
  // `outer` multiplies from the left: B = outer_b·inner_b, A = outer_a·inner_a.
  const char *outer_b = old ? "b2.weight" : "b1.weight", *inner_b = old ? "b1.weight" : "b2.weight";
  const char *outer_a = old ? "a2.weight" : "a1.weight", *inner_a = old ? "a1.weight" : "a2.weight";
  const bool has_mid = module.has("bm.weight");
  Formula formula{.rank = size_at(module.parts.find(inner_b)->second, 0)};
  const std::int64_t rank = formula.rank, rank_a = size_at(module.parts.find(inner_a)->second, 0);
  const std::int64_t height = layer.kernel_height(), width = layer.kernel_width();
  ShapeCheck check(module, layer);
  check.part(outer_a, {layer.in(), rank_a})
      .part(inner_a, {rank_a, layer.in()})
      .part(outer_b, {layer.out(), rank});
  if (has_mid) {
    check.part("bm.weight", {rank, rank, height, width}).part(inner_b, {rank, layer.in()});
  } else {
    check.part(inner_b, {rank, layer.in(), height, width});
  }
  if (!check.ok()) return check.misfit();
  formula.depends_on_base = true;
  formula.weight = [=](const at::Tensor& base, Dyn) {
    const at::Tensor left = flat(module.at(outer_b)), right = flat(module.at(inner_b));
    const at::Tensor b = has_mid ? tucker(left, module.at("bm.weight"), right) : at::matmul(left, right);
    // W·A contracts the input channels: bring them last, multiply, bring them back.
    const at::Tensor rows = base.transpose(1, -1);
    const at::Tensor product =
        at::matmul(at::matmul(rows, flat(module.at(outer_a))), flat(module.at(inner_a)));
    return b.reshape(base.sizes()) + product.transpose(1, -1);
  };
  return formula;
}

}  // namespace lowrank::adapter::kinds
