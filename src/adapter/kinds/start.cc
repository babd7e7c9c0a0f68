#include <ATen/ATen.h>

#include <utility>

#include "adapter/kinds/kinds.h"

namespace lowrank::adapter::kinds {
namespace {

using Start = formats::PeftSettings::Start;

// `count` singular parts of W from the `first` largest on, as a matrix. A product of vectors: their signs, which
// are the library's choice, cancel.
at::Tensor singular_parts(const at::Tensor& rows, std::int64_t first, std::int64_t count) {
  const auto [u, s, vh] = at::linalg_svd(rows, /*full_matrices=*/false);
  return at::matmul(u.narrow(1, first, count) * s.narrow(0, first, count), vh.narrow(0, first, count));
}

at::Tensor start_of(const Module& module, const at::Tensor& rows, std::int64_t rank, double scale) {
  const std::int64_t shorter = std::min(rows.size(0), rows.size(1)), count = std::min(rank, shorter);
  if (module.kind == formats::AdapterKind::kKasa) return singular_parts(rows, shorter - count, count);
  if (module.settings.start == Start::kPissa) return singular_parts(rows, 0, count);
  const auto [q, r] = at::linalg_qr(rows);
  return at::matmul(q.narrow(1, 0, count), r.narrow(0, 0, count)) * scale;
}

}  // namespace

bool has_start(const Module& module) {
  return module.kind == formats::AdapterKind::kKasa || module.settings.start != Start::kNone;
}

Formula without_start(const Module& module, Formula formula) {
  formula.takes_from_checkpoint = true;
  formula.factors.reset();
  formula.weight = [module, inner = std::move(formula.weight), rank = formula.rank, scale = formula.scale](
                       const at::Tensor& base, Dyn dyn) {
    return inner(base, dyn) - start_of(module, flat(base), rank, scale).reshape(base.sizes());
  };
  return formula;
}

}  // namespace lowrank::adapter::kinds
