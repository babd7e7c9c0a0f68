#include "sampling/noise_table.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <cmath>

#include "base/error.h"
#include "formats/family.h"

namespace lowrank::sampling {
namespace {

constexpr int kTimesteps = formats::kNoiseLaw.steps;
constexpr int kLcmStride = 20;  // 50 of the 1000 timesteps were distilled
constexpr double kTerminalAlphaCumprod = 4.8973451890853435e-08;
constexpr float kLargestFlowSigma = 10000;

double shifted(double u, double shift) {
  return shift * u / (1 + (shift - 1) * u);
}

}  // namespace

NoiseTable::NoiseTable(std::vector<float> alphas_cumprod, int stride, bool nearest)
    : alphas_cumprod_(std::move(alphas_cumprod)), stride_(stride), nearest_(nearest) {
  for (std::size_t i = 0; i < alphas_cumprod_.size(); ++i) {
    const float alpha = alphas_cumprod_[i];
    if (!(alpha > 0 && alpha < 1) || (i > 0 && alpha > alphas_cumprod_[i - 1])) {
      throw Error(kBadInput, "noise table: alphas_cumprod[{}] is {}, but the values must fall inside (0, 1).",
                  i, alpha);
    }
    sigmas_.push_back(std::sqrt((1.0F - alpha) / alpha));
    log_sigmas_.push_back(std::log(sigmas_.back()));
  }
}

NoiseTable NoiseTable::stable_diffusion() {
  const double first = std::sqrt(formats::kNoiseLaw.first_beta),
               last = std::sqrt(formats::kNoiseLaw.last_beta);
  std::vector<float> alphas_cumprod;
  double product = 1;
  for (int t = 0; t < kTimesteps; ++t) {
    const double root = first + (last - first) * t / (kTimesteps - 1);
    product *= 1 - root * root;
    alphas_cumprod.push_back(static_cast<float>(product));
  }
  return NoiseTable(std::move(alphas_cumprod), 1, false);
}

NoiseTable NoiseTable::from_alphas_cumprod(std::vector<float> alphas_cumprod) {
  if (alphas_cumprod.size() < 2) {
    throw Error(kBadInput, "noise table: {} timesteps given, at least 2 are needed.", alphas_cumprod.size());
  }
  return NoiseTable(std::move(alphas_cumprod), 1, false);
}

NoiseTable NoiseTable::rectified_flow(double shift) {
  if (!(shift > 0 && std::isfinite(shift)))
    throw Error(kBadInput, "the shift of the rectified flow is {}, but must be a positive number.", shift);
  NoiseTable table;
  table.flow_ = Flow::kSigmas;
  table.shift_ = shift;
  for (int i = 1; i <= kTimesteps; ++i) {
    const float sigma =
        sigma_of_flow_time(static_cast<float>(shifted(static_cast<double>(i) / kTimesteps, shift)));
    const double square = static_cast<double>(sigma) * sigma;
    table.sigmas_.push_back(sigma);
    table.log_sigmas_.push_back(std::log(sigma));
    table.alphas_cumprod_.push_back(static_cast<float>(1 / (1 + square)));
  }
  return table;
}

NoiseTable NoiseTable::as_flow_times() const {
  LOWRANK_CHECK(is_flow());
  NoiseTable times = *this;
  times.flow_ = Flow::kTimes;
  for (int i = 1; i <= kTimesteps; ++i) {
    const auto at = static_cast<std::size_t>(i - 1);
    times.sigmas_[at] = static_cast<float>(shifted(static_cast<double>(i) / kTimesteps, shift_));
    times.log_sigmas_[at] = std::log(times.sigmas_[at]);
  }
  return times;
}

float NoiseTable::sigma_of_flow_time(float t) {
  constexpr float kLatest = kLargestFlowSigma / (1 + kLargestFlowSigma);
  return t >= kLatest ? kLargestFlowSigma : t / (1 - t);
}

NoiseTable NoiseTable::downcast() const {
  std::vector<float> rounded;
  for (const float alpha : alphas_cumprod_) rounded.push_back(static_cast<float>(c10::Half(alpha)));
  return NoiseTable(std::move(rounded), stride_, nearest_);
}

NoiseTable NoiseTable::zero_terminal_snr() const {
  const float first = std::sqrt(alphas_cumprod_.front()), last = std::sqrt(alphas_cumprod_.back());
  std::vector<float> rescaled;
  for (const float alpha : alphas_cumprod_) {
    const float root = (std::sqrt(alpha) - last) * (first / (first - last));
    rescaled.push_back(root * root);
  }
  rescaled.back() = static_cast<float>(kTerminalAlphaCumprod);
  return NoiseTable(std::move(rescaled), stride_, nearest_);
}

NoiseTable NoiseTable::lcm() const {
  LOWRANK_CHECK(stride_ == 1 && alphas_cumprod_.size() == kTimesteps);
  std::vector<float> every_20th;
  for (std::size_t t = kLcmStride - 1; t < kTimesteps; t += kLcmStride)
    every_20th.push_back(alphas_cumprod_[t]);
  return NoiseTable(std::move(every_20th), kLcmStride, true);
}

NoiseTable NoiseTable::quantized() const {
  return NoiseTable(alphas_cumprod_, stride_, true);
}

float NoiseTable::timestep_of(float sigma) const {
  if (flow_ == Flow::kTimes) return kTimesteps * sigma;
  if (flow_ == Flow::kSigmas) return sigma >= sigma_max() ? kTimesteps : kTimesteps * (sigma / (1 + sigma));
  const float log_sigma = std::log(sigma);
  const auto above = std::upper_bound(log_sigmas_.begin(), log_sigmas_.end(), log_sigma);
  const auto last_low = static_cast<std::ptrdiff_t>(log_sigmas_.size()) - 2;
  const auto low = std::clamp<std::ptrdiff_t>(above - log_sigmas_.begin() - 1, 0, last_low);
  const float below = log_sigmas_[static_cast<std::size_t>(low)];
  const float beyond = log_sigmas_[static_cast<std::size_t>(low) + 1];
  if (nearest_) {
    const bool is_upper = std::abs(log_sigma - beyond) < std::abs(log_sigma - below);
    return static_cast<float>((low + (is_upper ? 1 : 0)) * stride_ + stride_ - 1);
  }
  const float weight = std::clamp((below - log_sigma) / (below - beyond), 0.0F, 1.0F);
  return (1 - weight) * static_cast<float>(low) + weight * static_cast<float>(low + 1);
}

float NoiseTable::sigma_at(float timestep) const {
  if (is_flow()) {
    const double u = std::clamp(static_cast<double>(timestep) / kTimesteps, 1e-6, 1.0);
    const auto t = static_cast<float>(shifted(u, shift_));
    return flow_ == Flow::kTimes ? t : sigma_of_flow_time(t);
  }
  const float last = static_cast<float>(sigmas_.size() - 1);
  const float position =
      std::clamp((timestep - static_cast<float>(stride_ - 1)) / static_cast<float>(stride_), 0.0F, last);
  const float low = std::floor(position), weight = position - low;
  const float below = log_sigmas_[static_cast<std::size_t>(low)];
  const float beyond = log_sigmas_[static_cast<std::size_t>(std::ceil(position))];
  return std::exp((1 - weight) * below + weight * beyond);
}

}  // namespace lowrank::sampling
