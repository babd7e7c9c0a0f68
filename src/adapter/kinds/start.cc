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

// The `count` largest or smallest singular parts of W: of the Gram matrix of its shorter side, in double, only one set of
// singular vectors is needed, and W times them gives the rest.
Product singular_parts(const at::Tensor& rows, std::int64_t count, bool largest) {
  const bool is_wide = rows.size(0) <= rows.size(1);
  const at::Tensor shorter = (is_wide ? rows : rows.t()).to(at::kDouble);
  const auto [squares, vectors] = at::linalg_eigh(at::matmul(shorter, shorter.t()));  // rising
  const std::int64_t all = squares.size(0), first = largest ? all - count : 0;
  // Squares are told apart to 1e-16 of the largest.
  constexpr double kSmallest = 1e-9;
  if (!largest && squares[count - 1].item<double>() < kSmallest * squares[all - 1].item<double>()) {
    const auto [u, s, vh] = at::linalg_svd(rows, /*full_matrices=*/false);
    return {(u.narrow(1, all - count, count) * s.narrow(0, all - count, count)).clone(),
            vh.narrow(0, all - count, count).clone()};
  }
  const at::Tensor basis = vectors.narrow(1, first, count), rest = at::matmul(basis.t(), shorter);
  const at::Tensor left = is_wide ? basis : rest.t(), right = is_wide ? rest : basis.t();
  return {left.to(at::kFloat).contiguous(), right.to(at::kFloat).contiguous()};
}

Product start_of(const Module& module, const at::Tensor& rows, std::int64_t rank, double scale) {
  const std::int64_t shorter = std::min(rows.size(0), rows.size(1)), count = std::min(rank, shorter);
  if (module.kind == formats::AdapterKind::kKasa) return singular_parts(rows, count, /*largest=*/false);
  if (module.settings.start == Start::kPissa) return singular_parts(rows, count, /*largest=*/true);
  // The first columns of Q and rows of R need no further columns of W.
  const at::Tensor q = std::get<0>(at::linalg_qr(rows.narrow(1, 0, count)));
  return {q * scale, at::matmul(q.t(), rows)};
}

// A decomposition takes up to seconds, so it is kept for as long as the weight is the same tensor.
class KnownStart {
 public:
  KnownStart(Module module, std::int64_t rank, double scale)
      : module_(std::move(module)), rank_(rank), scale_(scale) {}

  Product of(const at::Tensor& base) {
    const std::lock_guard lock(guard_);
    if (!base_.defined() || !base_.is_same(base)) {
      product_ = start_of(module_, flat(base.to(at::kFloat)), rank_, scale_);
      base_ = base;
    }
    return product_;
  }

 private:
  const Module module_;
  const std::int64_t rank_;
  const double scale_;
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
  const auto known = std::make_shared<KnownStart>(module, formula.rank, formula.scale);
  formula.prepare = [known](const at::Tensor& base) { known->of(base); };
  formula.weight = [inner = std::move(formula.weight), known](const at::Tensor& base, Dyn dyn) {
    const Product start = known->of(base);
    return inner(base, dyn) - at::matmul(start.left, start.right).reshape(base.sizes());
  };
  return formula;
}

}  // namespace lowrank::adapter::kinds
