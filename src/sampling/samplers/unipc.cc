#include <ATen/ATen.h>

#include <algorithm>
#include <cmath>
#include <deque>

#include "base/error.h"
#include "sampling/samplers/samplers.h"
#include "sampling/schedules.h"

namespace lowrank::sampling {
namespace {

// The noise schedule in continuous time t = (index + 1)/N: ln α, α = √ᾱ, linear between the table's entries
// and beyond its ends; float32 as the reference.
class ContinuousSchedule {
 public:
  explicit ContinuousSchedule(const NoiseTable& table) {
    const auto count = static_cast<int>(table.alphas_cumprod().size());
    times_ = linspace(0, 1, count + 1);
    times_.erase(times_.begin());
    for (const float alpha : table.alphas_cumprod()) log_alphas_.push_back(0.5F * std::log(alpha));
  }
  float log_alpha(float t) const { return interpolate(t, times_, log_alphas_); }
  float alpha(float t) const { return std::exp(log_alpha(t)); }
  float sigma(float t) const { return std::sqrt(1 - std::exp(2 * log_alpha(t))); }
  float lambda(float t) const { return log_alpha(t) - 0.5F * std::log(1 - std::exp(2 * log_alpha(t))); }
  float time_of_lambda(float lambda) const {
    const float log_alpha =
        -0.5F * static_cast<float>(std::log1p(std::exp(-2.0 * static_cast<double>(lambda))));
    std::vector<float> rising(log_alphas_.rbegin(), log_alphas_.rend()),
        times(times_.rbegin(), times_.rend());
    return interpolate(log_alpha, rising, times);
  }
  float count() const { return static_cast<float>(times_.size()); }

 private:
  static float interpolate(float x, std::span<const float> xs, std::span<const float> ys) {
    const auto above = std::ranges::lower_bound(xs, x) - xs.begin();
    const auto low = static_cast<std::size_t>(
        std::clamp<std::ptrdiff_t>(above - 1, 0, static_cast<std::ptrdiff_t>(xs.size()) - 2));
    return ys[low] + (x - xs[low]) * (ys[low + 1] - ys[low]) / (xs[low + 1] - xs[low]);
  }
  std::vector<float> times_, log_alphas_;
};

// Solves Σ_k rows[i][k]·ρ_k = b_i by elimination with pivoting; `size` unknowns.
std::vector<double> solve(std::vector<std::vector<double>> rows, std::vector<double> b, std::size_t size) {
  for (std::size_t column = 0; column < size; ++column) {
    std::size_t pivot = column;
    for (std::size_t i = column + 1; i < size; ++i) {
      if (std::abs(rows[i][column]) > std::abs(rows[pivot][column])) pivot = i;
    }
    std::swap(rows[pivot], rows[column]);
    std::swap(b[pivot], b[column]);
    for (std::size_t i = column + 1; i < size; ++i) {
      const double factor = rows[i][column] / rows[column][column];
      for (std::size_t k = column; k < size; ++k) rows[i][k] -= factor * rows[column][k];
      b[i] -= factor * b[column];
    }
  }
  for (std::size_t i = size; i-- > 0;) {
    for (std::size_t k = i + 1; k < size; ++k) b[i] -= rows[i][k] * b[k];
    b[i] /= rows[i][i];
  }
  b.resize(size);
  return b;
}

struct Prediction3 {
  float t;
  at::Tensor x0;
};

class UniPc {
 public:
  UniPc(Denoiser& denoiser, const SamplerSettings& settings)
      : denoiser_(denoiser), schedule_(denoiser.table()), settings_(settings) {}

  at::Tensor predict_x0(const at::Tensor& x, float t) {
    const at::Tensor eps = denoiser_.predict_eps(x, (t - 1 / schedule_.count()) * schedule_.count()).guided;
    return (x - eps * schedule_.sigma(t)) / schedule_.alpha(t);
  }

  std::vector<float> times(int steps, float first) const {
    const float last = 1 / schedule_.count();
    if (settings_.unipc_spacing == UniPcSpacing::kTimeUniform) return linspace(first, last, steps + 1);
    if (settings_.unipc_spacing == UniPcSpacing::kTimeQuadratic) {
      auto times = linspace(std::sqrt(first), std::sqrt(last), steps + 1);
      for (float& t : times) t *= t;
      return times;
    }
    auto times = linspace(schedule_.lambda(first), schedule_.lambda(last), steps + 1);
    for (float& t : times) t = schedule_.time_of_lambda(t);
    return times;
  }

  // One predictor step to time t with the last `order` predictions (`known`, newest last), then, if asked,
  // the corrector with the model's answer there. Gives x and that answer (undefined without corrector).
  struct Step {
    at::Tensor x, x0;
  };
  Step step(const at::Tensor& x, const std::deque<Prediction3>& known, float t, int order, bool corrects) {
    const auto& newest = known.back();
    const float lambda0 = schedule_.lambda(newest.t), h = schedule_.lambda(t) - lambda0;
    std::vector<double> ratios;
    std::vector<at::Tensor> differences;  // (m_i − m₀)/r_i
    for (std::size_t i = 1; i < static_cast<std::size_t>(order); ++i) {
      const auto& older = known[known.size() - 1 - i];
      ratios.push_back((schedule_.lambda(older.t) - lambda0) / h);
      differences.push_back((older.x0 - newest.x0) / ratios.back());
    }
    ratios.push_back(1);

    const double hh = -h;
    const double b_h = settings_.unipc_variant == UniPcVariant::kBh1 ? hh : std::expm1(hh);
    const auto [rows, b] = order_conditions(ratios, hh, b_h);
    const float alpha = schedule_.alpha(t);
    const at::Tensor base =
        x * (schedule_.sigma(t) / schedule_.sigma(newest.t)) - newest.x0 * (alpha * std::expm1(-h));

    at::Tensor predicted = base;
    if (order > 1) {
      const auto rho = order == 2 ? std::vector<double>{0.5} : solve(rows, b, ratios.size() - 1);
      predicted = base - weighted_sum(differences, rho) * (alpha * b_h);
    }
    if (!corrects) return {predicted, {}};

    const at::Tensor x0 = predict_x0(predicted, t);
    const auto rho = order == 1 ? std::vector<double>{0.5} : solve(rows, b, ratios.size());
    differences.push_back(x0 - newest.x0);
    return {base - weighted_sum(differences, rho) * (alpha * b_h), x0};
  }

 private:
  struct Conditions {
    std::vector<std::vector<double>> rows;  // r_i^(k−1)
    std::vector<double> b;                  // k!·φ_{k+1}(hh)·hh / B
  };
  static Conditions order_conditions(const std::vector<double>& ratios, double hh, double b_h) {
    Conditions conditions;
    double phi = std::expm1(hh) / hh - 1, factorial = 1;
    for (std::size_t k = 1; k <= ratios.size(); ++k) {
      std::vector<double> row;
      for (const double r : ratios) row.push_back(std::pow(r, static_cast<double>(k - 1)));
      conditions.rows.push_back(std::move(row));
      conditions.b.push_back(phi * factorial / b_h);
      factorial *= static_cast<double>(k + 1);
      phi = phi / hh - 1 / factorial;
    }
    return conditions;
  }
  static at::Tensor weighted_sum(const std::vector<at::Tensor>& terms, const std::vector<double>& weights) {
    at::Tensor sum = terms[0] * weights[0];
    for (std::size_t i = 1; i < terms.size(); ++i) sum = sum + terms[i] * weights[i];
    return sum;
  }

  Denoiser& denoiser_;
  ContinuousSchedule schedule_;
  const SamplerSettings& settings_;
};

}  // namespace

// Unified predictor-corrector (arXiv:2302.04867), data prediction, B(h) variants. The list of timesteps gives
// only its length N (and the start of img2img): N equal steps of continuous time, N model calls.
at::Tensor sample_unipc(Denoiser& denoiser, at::Tensor x, const Walk& walk, StepContext& context) {
  const auto& settings = context.settings;
  const int steps = static_cast<int>(walk.timesteps.size()), order = settings.unipc_order;
  if (order < 1 || order > steps) {
    throw Error(kBadInput,
                "UniPC of order {} needs at least as many steps, but there are {}; use more steps or a lower "
                "UniPC order.",
                order, steps);
  }
  UniPc solver(denoiser, settings);
  const float first = walk.from_image ? static_cast<float>(walk.timesteps.back()) / 1000 + 0.001F : 1.0F;
  const auto times = solver.times(steps, first);
  std::deque<Prediction3> known{{times[0], solver.predict_x0(x, times[0])}};
  context.begin(steps);
  for (int i = 1; i <= steps; ++i) {
    const float t = times[static_cast<std::size_t>(i)];
    int step_order = std::min(i, order);
    if (settings.unipc_lower_order_final && i >= order) step_order = std::min(order, steps + 1 - i);
    const auto [next, x0] = solver.step(x, known, t, step_order, i < steps);
    x = next;
    if (x0.defined()) known.push_back({t, x0});
    if (known.size() > static_cast<std::size_t>(order)) known.pop_front();
    context.step_done(known.back().x0);
  }
  return x;
}

}  // namespace lowrank::sampling
