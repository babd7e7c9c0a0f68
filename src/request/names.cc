#include "request/names.h"

#include <vector>

namespace lowrank::request {
namespace {

constexpr SamplerTraits kSamplers[] = {
#define LOWRANK_SAMPLER(function, ...) {__VA_ARGS__},
#include "request/sampler_rows.inc"
#undef LOWRANK_SAMPLER
};

constexpr ScheduleTraits kSchedules[] = {
#define LOWRANK_SCHEDULE(function, ...) {__VA_ARGS__},
#include "request/schedule_rows.inc"
#undef LOWRANK_SCHEDULE
};

constexpr std::string_view kLatentUpscalers[] = {
#define LOWRANK_LATENT_UPSCALER(function, name) name,
#include "request/latent_upscaler_rows.inc"
#undef LOWRANK_LATENT_UPSCALER
};

constexpr std::string_view kPlainUpscalers[] = {
#define LOWRANK_PLAIN_UPSCALER(function, name) name,
#include "request/plain_upscaler_rows.inc"
#undef LOWRANK_PLAIN_UPSCALER
};

}  // namespace

std::span<const std::string_view> sampler_names() {
  static const auto names = [] {
    std::vector<std::string_view> labels;
    for (const SamplerTraits& sampler : kSamplers) labels.push_back(sampler.label);
    return labels;
  }();
  return names;
}

std::span<const std::string_view> schedule_names() {
  static const auto names = [] {
    std::vector<std::string_view> labels;
    for (const ScheduleTraits& schedule : kSchedules)
      if (schedule.is_offered) labels.push_back(schedule.label);
    return labels;
  }();
  return names;
}

std::span<const std::string_view> latent_upscaler_names() {
  return kLatentUpscalers;
}

std::span<const std::string_view> plain_upscaler_names() {
  return kPlainUpscalers;
}

std::span<const std::string_view> hires_upscaler_names() {
  static const auto names = [] {
    std::vector<std::string_view> all(std::begin(kLatentUpscalers), std::end(kLatentUpscalers));
    all.insert(all.end(), std::begin(kPlainUpscalers) + 1, std::end(kPlainUpscalers));
    return all;
  }();
  return names;
}

}  // namespace lowrank::request
