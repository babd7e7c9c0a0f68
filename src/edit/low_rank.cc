#include "edit/low_rank.h"

#include <ATen/ATen.h>
#include <ATen/CPUGeneratorImpl.h>

#include <algorithm>
#include <cmath>
#include <utility>

#include "adapter/branch.h"
#include "adapter/kinds/kinds.h"
#include "base/error.h"

namespace lowrank::edit {
namespace {

using adapter::Module;
using adapter::kinds::flat;
using formats::AdapterKind;

// mid [a, b, y, x] · down [b, i] → [a, i·y·x]: the Tucker form's kernel and inputs as one factor.
at::Tensor with_mid(const at::Tensor& mid, const at::Tensor& down) {
  return at::einsum("abyx,bi->aiyx", {mid, down}).reshape({mid.size(0), -1});
}

std::optional<LowRankForm> of_factors(const Module& module, const adapter::Formula& formula,
                                      adapter::Dyn dyn) {
  if (formula.factors) {
    const adapter::Factors& factors = *formula.factors;
    const std::int64_t rank = adapter::active_rank(factors, dyn);
    return LowRankForm{
        rank, factors.scale, [factors, rank] {
          return Pair{flat(factors.up.narrow(1, 0, rank)), flat(factors.down.narrow(0, 0, rank))};
        }};
  }
  const std::int64_t rank = module.parts.find("lora_down.weight")->second.size(0);
  if (module.has("lora_mid.weight"))
    return LowRankForm{rank, formula.scale, [module] {
                         return Pair{
                             flat(module.at("lora_up.weight")),
                             with_mid(module.at("lora_mid.weight"), flat(module.at("lora_down.weight")))};
                       }};
  if (module.has("lora_E"))
    return LowRankForm{rank, formula.scale, [module] {
                         return Pair{flat(module.at("lora_up.weight")) * module.at("lora_E").reshape({1, -1}),
                                     flat(module.at("lora_down.weight"))};
                       }};
  return std::nullopt;
}

// One of LoHa's two products: a [out, r], b [r, in·kh·kw].
Pair loha_product(const Module& module, const std::string& number) {
  const at::Tensor a = module.at("hada_w" + number + "_a"), b = module.at("hada_w" + number + "_b");
  if (!module.has("hada_t" + number)) return {flat(a), flat(b)};
  return {flat(a).t(), with_mid(module.at("hada_t" + number), flat(b))};
}

LowRankForm of_loha(const Module& module, double scale) {
  const std::int64_t first = module.parts.find("hada_w1_b")->second.size(0);
  const std::int64_t second = module.parts.find("hada_w2_b")->second.size(0);
  return {first * second, scale, [module] {
            const Pair one = loha_product(module, "1"), two = loha_product(module, "2");
            const at::Tensor up = (one.up.unsqueeze(2) * two.up.unsqueeze(1)).reshape({one.up.size(0), -1});
            const at::Tensor down =
                (one.down.unsqueeze(1) * two.down.unsqueeze(0)).reshape({-1, one.down.size(1)});
            return Pair{up, down};
          }};
}

at::Tensor lokr_first(const Module& module) {
  if (module.has("lokr_w1")) return flat(module.at("lokr_w1")).contiguous();
  return at::matmul(flat(module.at("lokr_w1_a")), flat(module.at("lokr_w1_b")));
}

// w2 as a product a [o2, r]·b [r, i2·kh·kw].
Pair lokr_second(const Module& module) {
  if (module.has("lokr_w2")) {
    const at::Tensor whole = flat(module.at("lokr_w2"));
    if (whole.size(0) <= whole.size(1)) return {at::eye(whole.size(0)), whole};
    return {whole, at::eye(whole.size(1))};
  }
  const at::Tensor a = flat(module.at("lokr_w2_a")), b = flat(module.at("lokr_w2_b"));
  if (!module.has("lokr_t2")) return {a, b};
  return {a.t(), with_mid(module.at("lokr_t2"), b)};
}

std::int64_t lokr_second_rank(const Module& module) {
  const auto whole = module.parts.find("lokr_w2");
  if (whole == module.parts.end()) return module.parts.find("lokr_w2_b")->second.size(0);
  const std::int64_t rows = whole->second.size(0);
  return std::min(rows, whole->second.numel() / rows);
}

LowRankForm of_lokr(const Module& module, double scale) {
  const auto side = [&](const char* whole, const char* factor, std::int64_t dimension) {
    const auto found = module.parts.find(whole);
    return found != module.parts.end() ? found->second.size(dimension)
                                       : module.parts.find(factor)->second.size(dimension);
  };
  const std::int64_t rows = side("lokr_w1", "lokr_w1_a", 0), columns = side("lokr_w1", "lokr_w1_b", 1);
  const bool by_columns = columns <= rows;
  return {std::min(rows, columns) * lokr_second_rank(module), scale, [module, by_columns] {
            const at::Tensor first = lokr_first(module);
            const Pair second = lokr_second(module);
            const at::Tensor up = second.up.contiguous(), down = second.down.contiguous();
            if (by_columns) return Pair{at::kron(first, up), at::kron(at::eye(first.size(1)), down)};
            return Pair{at::kron(at::eye(first.size(0)), up), at::kron(first, down)};
          }};
}

// Both factors of a QR decomposition of a tall or square matrix, float32.
std::pair<at::Tensor, at::Tensor> thin_qr(const at::Tensor& matrix) {
  const auto [q, r] = at::linalg_qr(matrix, "reduced");
  return {q, r};
}

// float32, and numbers.
at::Tensor wide(const at::Tensor& tensor) {
  at::Tensor values = tensor.to(at::kFloat).contiguous();
  require_finite(values);
  return values;
}

double squared(const at::Tensor& tensor) {
  return tensor.to(at::kDouble).square().sum().item<double>();
}

}  // namespace

void require_finite(const at::Tensor& values) {
  if (!values.isfinite().all().item<bool>())
    throw Error(kBadInput, "its values are not finite (NaN or infinity); the file is damaged, get it again.");
}

std::optional<LowRankForm> low_rank_form(const SourceModule& module, const std::shared_ptr<const void>& owner,
                                         adapter::Dyn dyn) {
  if (!module.formula.weight || needs_base(module.formula) || module.entry->parts.contains("bias") ||
      module.shape.sizes.size() < 2)
    return std::nullopt;
  // Of an inpainting model's first layer the file changes a part.
  if (!module.formula.factors && module.shape.kind == model::LayerKind::kConv2d &&
      module.shape.in() == formats::kInpaintingInputs)
    return std::nullopt;
  switch (module.entry->kind) {
    case AdapterKind::kLora:
    case AdapterKind::kLocon:
    case AdapterKind::kAdalora:
      return of_factors(adapter::as_module(*module.entry, owner), module.formula, dyn);
    case AdapterKind::kLoha:
      return of_loha(adapter::as_module(*module.entry, owner), module.formula.scale);
    case AdapterKind::kLokr:
      return of_lokr(adapter::as_module(*module.entry, owner), module.formula.scale);
    default:
      return std::nullopt;
  }
}

Decomposed decompose(const Pair& pair) {
  const at::Tensor up = wide(pair.up), down = wide(pair.down);
  const auto [q_up, r_up] = thin_qr(up);
  const auto [q_down, r_down] = thin_qr(down.t());
  const auto [u, s, vh] = at::linalg_svd(at::matmul(r_up, r_down.t()), /*full_matrices=*/false);
  const at::Tensor values = s.to(at::kDouble);
  return {at::matmul(q_up, u), values, at::matmul(vh, q_down.t()), squared(values)};
}

at::Tensor singular_values(const Pair& pair) {
  const auto [q_up, r_up] = thin_qr(wide(pair.up));
  const auto [q_down, r_down] = thin_qr(wide(pair.down).t());
  return at::linalg_svdvals(at::matmul(r_up, r_down.t())).to(at::kDouble);
}

Decomposed decompose_matrix(const at::Tensor& matrix, std::int64_t rank, bool exact, std::uint64_t seed) {
  const at::Tensor all = wide(matrix);
  const std::int64_t shorter = std::min(all.size(0), all.size(1));
  const std::int64_t width = rank + std::max<std::int64_t>(16, rank / 2);
  if (exact || 3 * width >= shorter) {
    const auto [u, s, vh] = at::linalg_svd(all, /*full_matrices=*/false);
    const at::Tensor values = s.to(at::kDouble);
    return {u, values, vh, squared(values)};
  }
  auto generator = at::make_generator<at::CPUGeneratorImpl>(seed);
  at::Tensor basis = at::empty({all.size(1), width}).normal_(0, 1, generator);
  for (int i = 0; i < 4; ++i) {
    const at::Tensor left = thin_qr(at::matmul(all, basis)).first;
    basis = thin_qr(at::matmul(all.t(), left)).first;
  }
  const at::Tensor left = thin_qr(at::matmul(all, basis)).first;
  const at::Tensor inside = at::matmul(left.t(), all);
  const auto [u, s, vh] = at::linalg_svd(inside, /*full_matrices=*/false);
  // What the basis misses, rather than a difference of two large sums.
  const at::Tensor values = s.to(at::kDouble);
  const double missed = squared(all - at::matmul(left, inside));
  return {at::matmul(left, u), values, vh, squared(values) + missed};
}

Reduced reduced(const Decomposed& all, std::int64_t rank) {
  const std::int64_t kept = std::min(rank, all.values.size(0));
  const at::Tensor values = all.values.narrow(0, 0, kept);
  const at::Tensor root = values.sqrt().to(at::kFloat);
  Reduced result{.pair = {all.u.narrow(1, 0, kept) * root, all.vh.narrow(0, 0, kept) * root.unsqueeze(1)}};
  result.lost = std::max(0.0, all.norm_squared - squared(values));
  return result;
}

}  // namespace lowrank::edit
