#include "edit/change.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <cmath>
#include <utility>

#include "base/error.h"

namespace lowrank::edit {
namespace {

bool is_power_of_two(double value) {
  int exponent = 0;
  return std::frexp(std::abs(value), &exponent) == 0.5;
}

at::Tensor weighted(const at::Tensor& tensor, double weight) {
  return weight == 1 ? tensor : tensor.to(at::kFloat) * weight;
}

// Of one type, the widest that occurs.
at::Tensor side_by_side(std::vector<at::Tensor> tensors, std::int64_t dimension) {
  const bool is_same = std::ranges::all_of(
      tensors, [&](const at::Tensor& tensor) { return tensor.scalar_type() == tensors[0].scalar_type(); });
  if (!is_same)
    for (at::Tensor& tensor : tensors) tensor = tensor.to(at::kFloat);
  return tensors.size() == 1 ? tensors[0] : at::cat(tensors, dimension);
}

}  // namespace

at::Tensor weight_change(std::span<const WeightedModule> parts, const at::Tensor& base) {
  at::Tensor sum;
  const auto add = [&](const at::Tensor& change, double weight) {
    if (!sum.defined()) sum = at::zeros(change.sizes(), at::kFloat);
    sum.add_(change, weight);
  };
  for (const WeightedModule& part : parts) {
    const adapter::Formula& formula = part.module->formula;
    if (!formula.weight || formula.depends_on_base) continue;
    add(formula.weight(formula.takes_from_checkpoint ? base : at::Tensor(), part.dyn), part.weight);
  }
  for (const WeightedModule& part : parts) {
    const adapter::Formula& formula = part.module->formula;
    if (!formula.weight || !formula.depends_on_base) continue;
    const at::Tensor now = sum.defined() ? base.to(at::kFloat) + sum : base.to(at::kFloat);
    add(formula.weight(now, part.dyn), part.weight);
  }
  return sum;
}

at::Tensor bias_change(std::span<const WeightedModule> parts, const at::Tensor& base_bias) {
  at::Tensor sum;
  const auto add = [&](const at::Tensor& change, double weight) {
    if (!sum.defined()) sum = at::zeros(change.sizes(), at::kFloat);
    sum.add_(change, weight);
  };
  const auto base = [&] { return base_bias.to(at::kFloat); };
  for (const WeightedModule& part : parts) {
    const adapter::Formula& formula = part.module->formula;
    if (formula.bias.defined()) add(formula.bias.to(at::kFloat).reshape({-1}), part.weight);
    if (formula.whole_bias.defined())
      add(base_bias.defined() ? formula.whole_bias - base() : formula.whole_bias, part.weight);
  }
  for (const WeightedModule& part : parts) {
    const at::Tensor& gain = part.module->formula.bias_gain;
    if (gain.defined() && base_bias.defined())
      add((sum.defined() ? base() + sum : base()) * gain, part.weight);
  }
  return sum;
}

bool changes_bias(std::span<const WeightedModule> parts) {
  return std::ranges::any_of(parts, [](const WeightedModule& part) {
    const adapter::Formula& formula = part.module->formula;
    return formula.bias.defined() || formula.whole_bias.defined() || formula.bias_gain.defined();
  });
}

std::optional<Joined> joined(std::span<const WeightedModule> parts) {
  struct Term {
    LowRankForm form;
    double factor = 1;  // of its up
  };
  std::vector<Term> terms;
  Joined result;
  result.scale = 0;
  for (const WeightedModule& part : parts) {
    if (!part.module->formula.weight) continue;  // its bias alone
    auto form = low_rank_form(*part.module, part.source->file.file, part.dyn);
    if (!form) return std::nullopt;
    const double scale = form->scale * part.weight;
    if (scale == 0 || form->rank == 0) continue;
    if (result.scale == 0) result.scale = std::abs(scale);
    const double factor = scale / result.scale;
    result.is_exact = result.is_exact && is_power_of_two(factor);
    result.rank += form->rank;
    terms.push_back({std::move(*form), factor});
  }
  if (terms.empty()) return std::nullopt;
  result.make = [terms = std::move(terms)] {
    std::vector<at::Tensor> ups, downs;
    for (const Term& term : terms) {
      const Pair pair = term.form.make();
      ups.push_back(weighted(pair.up, term.factor));
      downs.push_back(pair.down);
    }
    return Pair{side_by_side(std::move(ups), 1), side_by_side(std::move(downs), 0)};
  };
  return result;
}

std::function<std::vector<at::Tensor>()> named(std::string layer,
                                               std::function<std::vector<at::Tensor>()> make) {
  return [layer = std::move(layer), make = std::move(make)] {
    try {
      return make();
    } catch (const Error& error) {
      throw error.during("working on '" + layer + "'");
    }
  };
}

}  // namespace lowrank::edit
