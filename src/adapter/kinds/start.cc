#include <ATen/ATen.h>

#include <algorithm>
#include <memory>
#include <mutex>
#include <utility>

#include "adapter/kinds/kinds.h"

namespace lowrank::adapter::kinds {
namespace {

using Start = formats::PeftSettings::Start;

// A product, so that the signs of singular vectors and of QR's rows, which are the library's choice, cancel.
struct Product {
  at::Tensor left, right;  // [out, r], [r, in·kh·kw]
};

// `count` singular parts of W from the `first` largest on.
Product singular_parts(const at::Tensor& rows, std::int64_t first, std::int64_t count) {
  const auto [u, s, vh] = at::linalg_svd(rows, /*full_matrices=*/false);
  return {(u.narrow(1, first, count) * s.narrow(0, first, count)).clone(),
          vh.narrow(0, first, count).clone()};
}

Product start_of(const Module& module, const at::Tensor& rows, std::int64_t rank, double scale) {
  const std::int64_t shorter = std::min(rows.size(0), rows.size(1)), count = std::min(rank, shorter);
  if (module.kind == formats::AdapterKind::kKasa) return singular_parts(rows, shorter - count, count);
  if (module.settings.start == Start::kPissa) return singular_parts(rows, 0, count);
  const auto [q, r] = at::linalg_qr(rows);
  return {(q.narrow(1, 0, count) * scale).clone(), r.narrow(0, 0, count).clone()};
}

// A decomposition takes up to a second a layer, so it is kept for as long as the weight is the same tensor.
class KnownStart {
 public:
  at::Tensor of(const at::Tensor& base, auto&& decompose) {
    const std::lock_guard lock(guard_);
    if (!base_.defined() || !base_.is_same(base)) {
      product_ = decompose(flat(base.to(at::kFloat)));
      base_ = base;
    }
    return at::matmul(product_.left, product_.right).reshape(base.sizes());
  }

 private:
  std::mutex guard_;
  at::Tensor base_;
  Product product_;
};

}  // namespace

bool has_start(const Module& module) {
  return module.kind == formats::AdapterKind::kKasa || module.settings.start != Start::kNone;
}

Formula without_start(const Module& module, Formula formula) {
  formula.takes_from_checkpoint = true;
  formula.factors.reset();
  formula.weight = [module, inner = std::move(formula.weight), rank = formula.rank, scale = formula.scale,
                    known = std::make_shared<KnownStart>()](const at::Tensor& base, Dyn dyn) {
    return inner(base, dyn) -
           known->of(base, [&](const at::Tensor& rows) { return start_of(module, rows, rank, scale); });
  };
  return formula;
}

}  // namespace lowrank::adapter::kinds
