#include "training/optim/prodigy_plus_schedule_free.h"

#include <ATen/ATen.h>
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <utility>

#include "base/error.h"
#include "training/optim/factored_moment.h"

namespace lowrank::training {
namespace {

constexpr std::int64_t kSlice = 11;      // every so many numbers tell the step size
constexpr std::int64_t kLeastSide = 32;  // of a matrix that is worth factoring
const double kGrowth = std::pow(2, 0.25);

at::Tensor sliced(const at::Tensor& x) {
  return x.detach().reshape({-1}).slice(0, 0, x.numel(), kSlice);
}

}  // namespace

ProdigyPlusScheduleFree::ProdigyPlusScheduleFree(std::vector<TrainedParameter> parameters,
                                                 const request::OptimiserArguments& arguments)
    : Optimiser(std::move(parameters)),
      beta1_(arguments.number("betas", 0)),
      beta2_(arguments.number("betas", 1)),
      beta3_(arguments.number_or_none("beta3").value_or(std::sqrt(beta2_))),
      weight_decay_(arguments.number("weight_decay")),
      d0_(arguments.number("d0")),
      d_coef_(arguments.number("d_coef")),
      prodigy_steps_(arguments.number("prodigy_steps")),
      averaging_(arguments.number("schedulefree_c")),
      eps_(arguments.number("eps")),
      decay_by_rate_(arguments.is_on("weight_decay_by_lr")),
      limiter_(arguments.is_on("d_limiter")),
      stable_(arguments.is_on("use_stableadamw")),
      z_(copies()),
      split_groups_(arguments.is_on("split_groups")) {
  if (beta1_ == 0)
    throw Error(kBadInput,
                "--optimizer-args: ProdigyPlusScheduleFree needs a first beta above 0, such as 0.9.");
  std::int64_t groups = 1;
  for (const auto& parameter : parameters_) {
    groups = std::max(groups, parameter.group + 1);
    const at::Tensor& w = parameter.tensor;
    const auto sizes = w.sizes();
    const bool factored = arguments.is_on("factored") && w.dim() >= 2 &&
                          std::ranges::any_of(sizes, [](std::int64_t n) { return n >= kLeastSide; });
    factors_.emplace_back();
    row_.emplace_back();
    column_.emplace_back();
    v_.push_back(factored ? at::Tensor() : at::zeros(sizes, at::TensorOptions(at::kFloat)));
    if (factored) {
      // The longest two sides; of equal ones the later is the longer.
      std::vector<std::pair<std::int64_t, std::int64_t>> sides;
      for (std::int64_t k = 0; k < w.dim(); ++k) sides.emplace_back(sizes[static_cast<std::size_t>(k)], k);
      std::ranges::sort(sides);
      const Factors f{sides.back().second, sides[sides.size() - 2].second};
      factors_.back() = f;
      row_.back() = at::zeros(sizes, at::TensorOptions(at::kFloat)).mean(f.longer, true);
      column_.back() = at::zeros(sizes, at::TensorOptions(at::kFloat)).mean(f.shorter, true);
    }
    start_.push_back(sliced(w).to(at::kBFloat16).clone());
    s_.push_back(at::zeros_like(start_.back()));
  }
  groups_.resize(static_cast<std::size_t>(split_groups_ ? groups : 1));
  remember("z", z_);
  remember("v", v_);
  remember("row", row_);
  remember("column", column_);
  remember("s", s_);
  remember("start", start_);
  for (std::size_t k = 0; k < groups_.size(); ++k) {
    groups_[k].d = d0_;
    remember(fmt::format("d/{}", k), groups_[k].d);
    remember(fmt::format("d_numerator/{}", k), groups_[k].numerator);
    remember(fmt::format("weight_sum/{}", k), groups_[k].weight_sum);
  }
}

ProdigyPlusScheduleFree::Group& ProdigyPlusScheduleFree::group_of(std::size_t i) {
  return groups_[split_groups_ ? static_cast<std::size_t>(parameters_[i].group) : 0];
}

bool ProdigyPlusScheduleFree::is_estimating() const {
  return prodigy_steps_ == 0 || static_cast<double>(steps_) < prodigy_steps_;
}

// √v after this step's gradient.
at::Tensor ProdigyPlusScheduleFree::scale(std::size_t i, const at::Tensor& g, double d) {
  const double share = (1 - beta2_) * d * d;
  if (!factors_[i]) return v_[i].mul_(beta2_).addcmul_(g, g, share).sqrt();
  const auto [longer, shorter] = *factors_[i];
  row_[i].mul_(beta2_).add_(g.square().mean(longer, true), share);
  column_[i].mul_(beta2_).add_(g.square().mean(shorter, true), share);
  // The package takes the mean of the rows one dimension too early where the shorter side comes after the longer: over
  // a side of 1 in matrices that are taller than wide, whose rows then count for nothing.
  const std::int64_t over = shorter > longer ? shorter - 1 : shorter;
  const at::Tensor mean = row_[i].mean(over, true).add_(1e-30);
  return row_[i].div(mean).mul(column_[i]).sqrt_();
}

void ProdigyPlusScheduleFree::gather(std::size_t i, const at::Tensor& g, Group& group) {
  if (!is_estimating()) return;
  const double share = group.d * group.d / std::sqrt(d0_);
  const at::Tensor part = sliced(g);
  const at::Tensor way = start_[i].to(at::kFloat) - sliced(z_[i]);
  // s is kept, and summed, in bfloat16.
  s_[i].copy_((s_[i].to(at::kFloat) * beta3_).to(at::kBFloat16));
  s_[i].copy_(s_[i].to(at::kFloat).add_(part, share));
  const at::Tensor length = s_[i].to(at::kFloat).abs().sum().to(at::kBFloat16).to(at::kFloat);
  group.gathered_denominator += length.item<float>();
  group.gathered_numerator += static_cast<float>(share) * part.dot(way).item<float>();
}

void ProdigyPlusScheduleFree::walk(std::size_t i, at::Tensor& u, double rate, const Group& group) {
  at::Tensor& y = parameters_[i].tensor;
  const double weight = rate * rate, sum = group.weight_sum + weight;
  double c = sum > 0 ? weight / sum : 0.0;
  if (averaging_ > 0) c = std::min(1.0, c * (1 - beta1_) * averaging_);
  const double share = 1 - beta1_ * (1 - c), lambda = decay(i, weight_decay_);
  at::Tensor before;
  if (lambda != 0 && decay_by_rate_) u.add_(y, lambda);
  if (lambda != 0 && !decay_by_rate_) before = y.detach().clone();
  y.lerp_(z_[i], c);
  z_[i].sub_(u, rate);
  y.sub_(u, rate * share);
  if (!before.defined()) return;
  z_[i].sub_(before, lambda);
  y.sub_(before, lambda * share);
}

void ProdigyPlusScheduleFree::estimate(Group& group) const {
  const double numerator = group.gathered_numerator, denominator = group.gathered_denominator;
  group.gathered_numerator = group.gathered_denominator = 0;
  if (!is_estimating()) return;
  group.numerator *= beta3_;
  if (group.d > d0_ || numerator > 0) group.numerator += numerator;
  if (denominator <= 0) return;
  double hat = group.numerator / denominator;
  if (limiter_) hat = std::min(group.d * kGrowth, hat);
  group.d = std::max(group.d, hat * d_coef_);
}

void ProdigyPlusScheduleFree::update(double factor) {
  // A group's sum grows by the last rate that it walked with.
  std::vector<double> weights(groups_.size(), 0);
  for (std::size_t i = 0; i < parameters_.size(); ++i) {
    if (!gradient(i).defined()) continue;
    Group& group = group_of(i);
    const at::Tensor& g = gradient(i);
    const double rate = group.d * factor * parameters_[i].learning_rate;
    const at::Tensor denominator = scale(i, g, group.d);
    at::Tensor u = g.mul(group.d).div_(denominator.add(group.d * eps_));
    if (stable_) u.mul_(1 / std::sqrt(std::max(1.0, rms(u))));
    gather(i, g, group);
    walk(i, u, rate, group);
    weights[static_cast<std::size_t>(&group - groups_.data())] = rate * rate;
  }
  for (std::size_t k = 0; k < groups_.size(); ++k) {
    groups_[k].weight_sum += weights[k];
    estimate(groups_[k]);
  }
}

at::Tensor ProdigyPlusScheduleFree::found(std::size_t i) const {
  return parameters_[i].tensor.detach().lerp(z_[i], 1 - 1 / beta1_);
}

}  // namespace lowrank::training
