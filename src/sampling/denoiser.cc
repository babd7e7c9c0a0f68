#include "sampling/denoiser.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <cmath>
#include <numeric>
#include <utility>

#include "base/error.h"
#include "base/progress.h"
#include "sampling/prediction_watch.h"

namespace lowrank::sampling {

struct Denoiser::Plan {
  double scale;
  bool with_uncond;
  std::vector<BranchRow> rows;
};

Denoiser::Denoiser(NoiseModel& model, NoiseTable table, Prediction prediction, Guidance guidance,
                   std::stop_token stop)
    : model_(model),
      table_(std::move(table)),
      prediction_(prediction),
      guidance_(std::move(guidance)),
      stop_(std::move(stop)) {
  if (guidance_.weights.empty()) throw Error(kBadInput, "guidance: no images given.");
  for (std::size_t i = 0; i < guidance_.weights.size(); ++i) {
    if (guidance_.weights[i].empty()) throw Error(kBadInput, "guidance: image {} has no prompt.", i);
  }
}

// `level` is what NGMS compares with its limit: the sigma, or (an A1111 quirk) the timestep for timestep
// samplers.
Denoiser::Plan Denoiser::plan_call(float level, double scale_factor, Need need) {
  Plan plan{.scale = guidance_.scale * scale_factor, .with_uncond = true, .rows = {}};
  const double progress = guidance_.total_calls > 0 ? static_cast<double>(call_) / guidance_.total_calls : 0;
  const bool is_early = guidance_.skip_early > 0 && progress <= guidance_.skip_early;
  const bool is_quiet = guidance_.s_min_uncond > 0 && level < guidance_.s_min_uncond &&
                        (call_ % 2 == 1 || guidance_.s_min_uncond_all);
  if (is_early || is_quiet) {
    plan.scale = 1;
    plan.with_uncond = false;
    skipped_early_ |= is_early;
    skipped_by_sigma_ |= is_quiet;
  } else if (plan.scale == 1 && need == Need::kGuided) {
    // u + Σ wᵢ(cᵢ − u) does not depend on u when the weights sum to 1: one pass less, the same picture.
    plan.with_uncond = std::ranges::any_of(
        guidance_.weights, [](const auto& w) { return std::accumulate(w.begin(), w.end(), 0.0) != 1; });
  }
  const auto images = static_cast<int>(guidance_.weights.size());
  for (int image = 0; image < images; ++image) {
    const auto pieces = static_cast<int>(guidance_.weights[static_cast<std::size_t>(image)].size());
    for (int piece = 0; piece < pieces; ++piece) plan.rows.push_back({image, piece});
  }
  for (int image = 0; plan.with_uncond && image < images; ++image)
    plan.rows.push_back({image, BranchRow::kUncond});
  return plan;
}

// x [n, 4, h, w] → [rows, 4, h, w]: each image as often as it has rows.
at::Tensor Denoiser::spread(const at::Tensor& x, const Plan& plan) const {
  std::vector<at::Tensor> images;
  for (const auto& row : plan.rows) images.push_back(x[row.image]);
  return at::stack(images);
}

at::Tensor Denoiser::run_model(const at::Tensor& x, float c_in, float timestep, const Plan& plan) {
  throw_if_stopped(stop_);
  const auto count = static_cast<std::int64_t>(plan.rows.size());
  const auto timesteps = at::full({count}, timestep, x.options());
  const at::Tensor out = model_.predict(c_in == 1 ? x : x * c_in, timesteps, plan.rows, call_++);
  LOWRANK_CHECK(out.sizes() == x.sizes());
  const bool is_first = call_ == 1;
  if (is_first && timestep >= kNoiseAloneFrom)
    likelier_ = likelier_prediction(c_in == 1 ? x : x * c_in, out, prediction_);
  return out.to(x.options());
}

Denoiser::GuidedEps Denoiser::combine(const at::Tensor& predictions, const Plan& plan) const {
  std::vector<at::Tensor> guided, uncond;
  std::int64_t row = 0;
  const auto images = static_cast<std::int64_t>(guidance_.weights.size());
  for (std::int64_t image = 0; image < images; ++image) {
    // Where the negative prompt was left out, the first piece takes its place.
    const at::Tensor u = predictions[plan.with_uncond ? predictions.size(0) - images + image : row];
    at::Tensor result = u.clone();
    for (const double weight : guidance_.weights[static_cast<std::size_t>(image)]) {
      result += (predictions[row++] - u) * (weight * plan.scale);
    }
    guided.push_back(result);
    uncond.push_back(u);
  }
  return {.guided = at::stack(guided), .uncond = at::stack(uncond)};
}

// What a prediction says at a level: the network sees x·in, and D = x·skip + out·prediction.
struct Denoiser::Scaling {
  float in, skip, out;
};

Denoiser::Scaling Denoiser::scaling(float sigma) const {
  const float variance = sigma * sigma + 1;
  switch (prediction_) {
    case Prediction::kEpsilon:
      return {1 / std::sqrt(variance), 1, -sigma};
    case Prediction::kV:
      return {1 / std::sqrt(variance), 1 / variance, -(sigma / std::sqrt(variance))};
    case Prediction::kFlow:
      if (table_.is_in_flow_times()) return {1, 1, -sigma};
      break;
  }
  return {1 / (1 + sigma), 1 / (1 + sigma), -(sigma / (1 + sigma))};
}

at::Tensor Denoiser::denoise(const at::Tensor& x, float sigma) {
  const Plan plan = plan_call(sigma, 1, Need::kGuided);
  const at::Tensor rows = spread(x, plan);
  const float timestep = table_.timestep_of(sigma);
  const auto [in, skip, scale] = scaling(sigma);
  const at::Tensor out = run_model(rows, in, timestep, plan);
  at::Tensor denoised = (skip == 1 ? rows : rows * skip) + out * scale;
  if (table_.is_lcm()) {
    const float s = 10 * timestep;
    denoised = denoised * (s / std::sqrt(s * s + 0.25F)) + rows * (0.25F / (s * s + 0.25F));
  }
  return with_kept(combine(denoised, plan).guided);
}

void Denoiser::keep(at::Tensor latent, at::Tensor repaint) {
  kept_ = latent * (1 - repaint);
  repaint_ = std::move(repaint);
}

at::Tensor Denoiser::with_kept(const at::Tensor& x) const {
  return repaint_.defined() ? x * repaint_ + kept_ : x;
}

Denoiser::GuidedEps Denoiser::predict_eps(const at::Tensor& x, float timestep, double scale_factor,
                                          Need need) {
  const Plan plan = plan_call(timestep, scale_factor, need);
  const at::Tensor rows = spread(with_kept(x), plan);
  const auto last = static_cast<float>(table_.alphas_cumprod().size() - 1);
  const auto index = static_cast<std::size_t>(std::clamp(timestep, 0.0F, last));
  const float alpha = table_.alphas_cumprod()[index], sigma = table_.sigmas()[index];
  const bool is_flow = prediction_ == Prediction::kFlow;
  const float in = is_flow ? std::sqrt(1 + sigma * sigma) / (1 + sigma) : 1;
  at::Tensor out = run_model(rows, in, is_flow ? table_.timestep_of(sigma) : timestep, plan);
  if (prediction_ == Prediction::kV) out = out * std::sqrt(alpha) + rows * std::sqrt(1 - alpha);
  if (is_flow) out = rows * in + out * (1 / (1 + sigma));
  return combine(out, plan);
}

}  // namespace lowrank::sampling
