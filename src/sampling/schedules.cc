#include "sampling/schedules.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <optional>

#include "base/error.h"
#include "formats/family.h"
#include "sampling/beta_quantile.h"

namespace lowrank::sampling {
namespace {

std::vector<float> with_zero(std::vector<float> sigmas) {
  sigmas.push_back(0);
  return sigmas;
}

std::vector<float> sigmas_at(const NoiseTable& table, std::span<const float> timesteps) {
  std::vector<float> sigmas;
  for (const float timestep : timesteps) sigmas.push_back(table.sigma_at(timestep));
  return sigmas;
}

std::vector<float> uniform(const ScheduleArguments& a) {
  const float first = a.table.timestep_of(a.table.sigma_max()),
              last = a.table.timestep_of(a.table.sigma_min());
  return with_zero(sigmas_at(a.table, linspace(first, last, a.steps)));
}

std::vector<float> karras(const ScheduleArguments& a) {
  return karras_sigmas(a.steps, a.sigma_min, a.sigma_max, a.rho);
}

std::vector<float> exponential(const ScheduleArguments& a) {
  auto sigmas =
      linspace(static_cast<float>(std::log(a.sigma_max)), static_cast<float>(std::log(a.sigma_min)), a.steps);
  for (float& sigma : sigmas) sigma = std::exp(sigma);
  return with_zero(std::move(sigmas));
}

std::vector<float> polyexponential(const ScheduleArguments& a) {
  const auto range = static_cast<float>(std::log(a.sigma_max) - std::log(a.sigma_min));
  const auto low = static_cast<float>(std::log(a.sigma_min));
  auto sigmas = linspace(1, 0, a.steps);
  for (float& sigma : sigmas) sigma = std::exp(std::pow(sigma, static_cast<float>(a.rho)) * range + low);
  return with_zero(std::move(sigmas));
}

// The timesteps of the range in `count` even steps.
std::vector<float> even_timesteps(const ScheduleArguments& a, int count) {
  return linspace(a.table.timestep_of(static_cast<float>(a.sigma_max)),
                  a.table.timestep_of(static_cast<float>(a.sigma_min)), count);
}

std::vector<float> sgm_uniform(const ScheduleArguments& a) {
  const auto timesteps = even_timesteps(a, a.steps + 1);
  return with_zero(sigmas_at(a.table, std::span(timesteps).first(static_cast<std::size_t>(a.steps))));
}

std::vector<float> normal(const ScheduleArguments& a) {
  return with_zero(sigmas_at(a.table, even_timesteps(a, a.steps)));
}

// Ends in sigma_min, not in 0: the reference's list has n + 1 values of its own.
std::vector<float> kl_optimal(const ScheduleArguments& a) {
  const float low = std::atan(static_cast<float>(a.sigma_min)),
              high = std::atan(static_cast<float>(a.sigma_max));
  std::vector<float> sigmas;
  for (int i = 0; i <= a.steps; ++i) {
    const float part = static_cast<float>(i) / static_cast<float>(a.steps);
    sigmas.push_back(std::tan(part * low + (1 - part) * high));
  }
  return sigmas;
}

std::vector<float> simple(const ScheduleArguments& a) {
  const auto table = a.table.sigmas();
  const double stride = static_cast<double>(table.size()) / a.steps;
  std::vector<float> sigmas;
  for (int i = 0; i < a.steps; ++i)
    sigmas.push_back(table[table.size() - 1 - static_cast<std::size_t>(i * stride)]);
  return with_zero(std::move(sigmas));
}

std::vector<float> ddim(const ScheduleArguments& a) {
  const auto table = a.table.sigmas();
  const std::size_t stride = std::max<std::size_t>(table.size() / static_cast<std::size_t>(a.steps), 1);
  std::vector<float> sigmas;
  for (std::size_t i = 1; i < table.size(); i += stride) sigmas.push_back(table[i]);
  std::reverse(sigmas.begin(), sigmas.end());
  return with_zero(std::move(sigmas));
}

// Source: "Beta Sampling is All You Need", arXiv:2407.12173; A1111 spreads the quantiles over sigma, not over
// time.
std::vector<float> beta(const ScheduleArguments& a) {
  std::vector<float> sigmas;
  for (int i = 0; i < a.steps; ++i) {
    const double probability = a.steps == 1 ? 1 : 1 - static_cast<double>(i) / (a.steps - 1);
    const double quantile = beta_quantile(probability, a.settings.beta_alpha, a.settings.beta_beta);
    sigmas.push_back(static_cast<float>(a.sigma_min + quantile * (a.sigma_max - a.sigma_min)));
  }
  return with_zero(std::move(sigmas));
}

// The level of a whole timestep of training, 0 … 999.
float level_of(const NoiseTable& table, int timestep) {
  if (table.is_lcm()) return table.sigma_at(static_cast<float>(timestep));
  return table.sigmas()[static_cast<std::size_t>(timestep)];
}

// ⌊½ up to even⌋ of 1000, 1000 − 1000/n … above 0, less one. Source: diffusers' "trailing" spacing (arXiv:2305.08891, table 2),
// without the timestep −1 that its floating-point range adds for some n.
std::vector<float> trailing(const ScheduleArguments& a) {
  if (a.steps > formats::kNoiseLaw.steps)
    throw Error(kBadInput, "steps is {}, but the schedule Trailing has at most {}.", a.steps,
                formats::kNoiseLaw.steps);
  const double stride = static_cast<double>(formats::kNoiseLaw.steps) / a.steps;
  std::vector<float> sigmas;
  for (int i = 0; i < a.steps; ++i) {
    const auto timestep = static_cast<int>(std::nearbyint(formats::kNoiseLaw.steps - i * stride)) - 1;
    sigmas.push_back(level_of(a.table, timestep));
  }
  return with_zero(std::move(sigmas));
}

// Of the 50 timesteps that latent consistency models are distilled for, every so many from the last on. Source: diffusers'
// LCMScheduler and TCDScheduler.
std::vector<float> consistency(const ScheduleArguments& a) {
  constexpr int kDistilled = 50, kStride = formats::kNoiseLaw.steps / kDistilled;
  if (a.steps > kDistilled)
    throw Error(kBadInput,
                "steps is {}, but the schedule LCM has at most {}, those that consistency models are made "
                "for; take fewer steps or another schedule.",
                a.steps, kDistilled);
  std::vector<float> sigmas;
  for (int i = 0; i < a.steps; ++i)
    sigmas.push_back(level_of(a.table, (kDistilled - i * kDistilled / a.steps) * kStride - 1));
  return with_zero(std::move(sigmas));
}

std::vector<float> turbo(const ScheduleArguments& a) {
  const auto stride = static_cast<float>(1000.0 / a.steps);
  std::vector<float> timesteps;
  for (int i = a.steps; i >= 1; --i) {
    timesteps.push_back(std::clamp(std::nearbyint(static_cast<float>(i) * stride - 1), 0.0F, 999.0F));
  }
  return with_zero(sigmas_at(a.table, timesteps));
}

// ── Align Your Steps (arXiv:2404.14507): tabulated optima, log-linear between them
// ─────────────────────────────────
constexpr auto kAys =
    std::to_array({14.615, 6.475, 3.861, 2.697, 1.886, 1.396, 0.963, 0.652, 0.399, 0.152, 0.029});
constexpr auto kAysSdxl =
    std::to_array({14.615, 6.315, 3.771, 2.181, 1.342, 0.862, 0.555, 0.380, 0.234, 0.113, 0.029});
constexpr auto kGits =
    std::to_array({14.615, 4.617, 2.507, 1.236, 0.702, 0.402, 0.240, 0.156, 0.104, 0.094, 0.029});
constexpr auto kGitsSdxl =
    std::to_array({14.615, 4.734, 2.567, 1.529, 0.987, 0.652, 0.418, 0.268, 0.179, 0.127, 0.029});
constexpr auto kAys32 = std::to_array(
    {14.615,     11.23951352, 8.64363081, 6.64729424, 5.57250862, 4.71648546, 3.99196065, 3.5195609,
     3.13490466, 2.79228788,  2.48773628, 2.21663865, 1.97508351, 1.7793172,  1.61475335, 1.46540953,
     1.314849,   1.16642497,  1.03475547, 0.91573744, 0.80748169, 0.71202361, 0.621739,   0.53065202,
     0.4529096,  0.37491455,  0.27461819, 0.2011529,  0.14105873, 0.06682881, 0.03166121, 0.015});
constexpr auto kAys32Sdxl = std::to_array(
    {14.615,     11.1491618, 8.50522127, 6.48827151, 5.43707402, 4.60398619, 3.89854704, 3.27407457,
     2.74396527, 2.29968659, 1.95448514, 1.67108715, 1.42878152, 1.23181009, 1.06789649, 0.92579443,
     0.80290886, 0.69660121, 0.60436903, 0.52852552, 0.46773344, 0.41393379, 0.36258186, 0.31008517,
     0.26518925, 0.22326461, 0.17653877, 0.13959192, 0.10587381, 0.05519369, 0.02877334, 0.015});

std::vector<float> tabulated(const ScheduleArguments& a, std::span<const double> plain,
                             std::span<const double> sdxl) {
  if (a.table.is_flow())
    throw Error(
        kBadInput,
        "the schedule Align Your Steps holds noise levels of Stable Diffusion, which a rectified flow "
        "does not have; choose another one.");
  const auto optima = a.settings.sdxl ? sdxl : plain;
  std::vector<float> sigmas;
  if (static_cast<std::size_t>(a.steps) == optima.size()) {
    sigmas.assign(optima.begin(), optima.end());
    return with_zero(std::move(sigmas));
  }
  const auto last = static_cast<double>(optima.size() - 1);
  for (int i = 0; i < a.steps; ++i) {
    // The reference interpolates the reversed list and turns the result round; so one step alone gets the
    // smallest.
    const double place = a.steps == 1 ? last : last * i / (a.steps - 1);
    const auto low = std::min(static_cast<std::size_t>(place), optima.size() - 2);
    const double weight = place - static_cast<double>(low);
    sigmas.push_back(static_cast<float>(
        std::exp((1 - weight) * std::log(optima[low]) + weight * std::log(optima[low + 1]))));
  }
  return with_zero(std::move(sigmas));
}

std::vector<float> align_your_steps(const ScheduleArguments& a) {
  return tabulated(a, kAys, kAysSdxl);
}
std::vector<float> align_your_steps_gits(const ScheduleArguments& a) {
  return tabulated(a, kGits, kGitsSdxl);
}
std::vector<float> align_your_steps_32(const ScheduleArguments& a) {
  return tabulated(a, kAys32, kAys32Sdxl);
}

constexpr auto kSchedules = std::to_array<ScheduleRow>({
#define LOWRANK_SCHEDULE(function, ...) {{__VA_ARGS__}, function},
#include "request/schedule_rows.inc"
#undef LOWRANK_SCHEDULE
});

}  // namespace

std::vector<float> linspace(float first, float last, int n) {
  std::vector<float> values(static_cast<std::size_t>(n), first);
  const float step = n > 1 ? (last - first) / static_cast<float>(n - 1) : 0;
  for (int i = 1; i < n; ++i) {  // from the nearer end, so that both are exact
    values[static_cast<std::size_t>(i)] =
        i < n / 2 ? first + step * static_cast<float>(i) : last - step * static_cast<float>(n - 1 - i);
  }
  return values;
}

std::vector<float> karras_sigmas(int n, double sigma_min, double sigma_max, double rho) {
  const double low = std::pow(sigma_min, 1 / rho), high = std::pow(sigma_max, 1 / rho);
  auto sigmas = linspace(0, 1, n);
  for (float& sigma : sigmas) {
    sigma =
        std::pow(static_cast<float>(high) + sigma * static_cast<float>(low - high), static_cast<float>(rho));
  }
  return with_zero(std::move(sigmas));
}

std::span<const ScheduleRow> schedule_table() {
  return kSchedules;
}

const ScheduleRow* find_schedule(std::string_view name_or_label) {
  for (const auto& row : kSchedules) {
    if (row.name == name_or_label || row.label == name_or_label) return &row;
  }
  return nullptr;
}

const ScheduleRow& automatic_schedule() {
  return kSchedules.front();
}

std::vector<float> make_schedule(const ScheduleRow& schedule, const NoiseTable& table, int steps,
                                 const ScheduleSettings& settings) {
  LOWRANK_CHECK(schedule.make != nullptr);
  std::optional<NoiseTable> times;
  if (steps < 1) throw Error(kBadInput, "steps is {}, but a schedule needs at least 1.", steps);
  const auto pick = [](double asked, double own) { return asked != 0 ? asked : own; };
  // The steps of a rectified flow are spread over its times, 0 … 1.
  const bool is_flow = table.is_flow(), old_range = settings.old_karras_range && !is_flow;
  const NoiseTable& levels = is_flow ? times.emplace(table.as_flow_times()) : table;
  const double own_min = old_range ? 0.1 : levels.sigma_min();
  const double own_max = old_range ? 10.0 : levels.sigma_max();
  const ScheduleArguments arguments{.steps = steps,
                                    .sigma_min = pick(settings.sigma_min, own_min),
                                    .sigma_max = pick(settings.sigma_max, own_max),
                                    .rho = pick(settings.rho, schedule.default_rho),
                                    .table = levels,
                                    .settings = settings};
  if (!(arguments.sigma_min > 0 && arguments.sigma_min < arguments.sigma_max &&
        std::isfinite(arguments.sigma_max))) {
    throw Error(kBadInput,
                "sigma min is {} and sigma max is {}, but a schedule needs 0 < sigma min < sigma max.",
                arguments.sigma_min, arguments.sigma_max);
  }
  if (is_flow && arguments.sigma_max > 1)
    throw Error(kBadInput, "sigma max is {}, but the times of a rectified flow end at 1.",
                arguments.sigma_max);
  if (schedule.default_rho != 0 && !(std::isfinite(arguments.rho) && arguments.rho > 0)) {
    throw Error(kBadInput, "rho is {}, but it must be a positive number.", arguments.rho);
  }
  if (!(settings.beta_alpha > 0 && settings.beta_beta > 0)) {
    throw Error(kBadInput, "the Beta schedule's alpha and beta are {} and {}, but they must be positive.",
                settings.beta_alpha, settings.beta_beta);
  }
  std::vector<float> sigmas = schedule.make(arguments);
  if (is_flow && !table.is_in_flow_times())
    for (float& sigma : sigmas) sigma = NoiseTable::sigma_of_flow_time(sigma);
  return sigmas;
}

}  // namespace lowrank::sampling
