#include "pipeline/field_table.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <type_traits>

#include "base/error.h"
#include "prompt/infotext.h"
#include "prompt/text.h"

namespace lowrank::pipeline {
namespace {

using R = GenerationRequest;

// clang-format off
// In the order of A1111's metadata; fields that it does not write come last.
constexpr FieldRow kFields[] = {
    {"prompt", "prompt", "", &R::prompt, {}, {}, "what to draw; <lora:NAME:WEIGHT> adds a LoRA"},
    {"negative_prompt", "negative", "", &R::negative_prompt, {}, {}, "what to keep out of the picture"},
    {"styles", "style", "", &R::styles, {}, {}, "a style of styles.csv, may be given several times"},
    {"steps", "steps", "Steps", &R::steps, 1, 150, "sampling steps"},
    {"sampler_name", "sampler", "Sampler", &R::sampler, {}, {}, "sampler by A1111's name, \"Euler a\""},
    {"scheduler", "scheduler", "Schedule type", &R::scheduler, {}, {}, "noise schedule: Automatic, Karras …"},
    {"cfg_scale", "cfg", "CFG scale", &R::cfg_scale, 0, 100, "guidance scale; 1 is twice as fast and ignores the negative prompt"},
    {"seed", "seed", "Seed", &R::seed, -1, 9.2e18, "seed of the first picture; -1: random"},
    {"width", "width", "Size-1", &R::width, 0, 4096, "pixels, a multiple of 8; 0: the checkpoint's own size"},
    {"height", "height", "Size-2", &R::height, 0, 4096, "pixels, a multiple of 8; 0: the checkpoint's own size"},
    {"sd_model_checkpoint", "model", "Model", &R::checkpoint, {}, {}, "checkpoint by name or path; without it the newest"},
    {"sd_vae", "vae", "VAE", &R::vae, {}, {}, "VAE by name or path, Automatic or None"},
    {"subseed", "subseed", "Variation seed", &R::subseed, -1, 9.2e18, "variation seed; -1: random"},
    {"subseed_strength", "subseed-strength", "Variation seed strength", &R::subseed_strength, 0, 1, "how far towards the variation seed, 0 to 1"},
    {"seed_resize_from_w", "seed-resize-width", "Seed resize from-1", &R::seed_resize_width, -1, 4096, "width at which the seed's picture was first made"},
    {"seed_resize_from_h", "seed-resize-height", "Seed resize from-2", &R::seed_resize_height, -1, 4096, "height at which the seed's picture was first made"},
    {"CLIP_stop_at_last_layers", "clip-skip", "Clip skip", &R::clip_skip, 1, 24, "1: the text encoder's last layer, 2: the one before …"},
    {"eta_noise_seed_delta", "ensd", "ENSD", &R::ensd, -2147483647, 2147483647, "eta noise seed delta"},
    {"randn_source", "rng", "RNG", &R::rng, {}, {}, "source of noise: GPU, NV (the same numbers) or CPU"},
    {"s_min_uncond", "ngms", "NGMS", &R::ngms, 0, 15, "below this sigma every second step skips the negative prompt"},
    {"s_min_uncond_all", "ngms-all-steps", "NGMS all steps", &R::ngms_all_steps, {}, {}, "skip the negative prompt in every step below --ngms"},
    {"emphasis", "emphasis", "Emphasis", &R::emphasis, {}, {}, "Original, No norm, Ignore or None"},
    {"always_discard_next_to_last_sigma", "discard-penultimate-sigma", "Discard penultimate sigma", &R::discard_penultimate_sigma, {}, {}, "leave out the schedule's last but one sigma"},
    {"sigma_min", "sigma-min", "Schedule min sigma", &R::sigma_min, 0, 1000, "smallest sigma of a named schedule; 0: its own"},
    {"sigma_max", "sigma-max", "Schedule max sigma", &R::sigma_max, 0, 10000, "largest sigma of a named schedule; 0: its own"},
    {"rho", "rho", "Schedule rho", &R::rho, 0, 100, "rho of Karras and Polyexponential; 0: its own"},
    {"beta_dist_alpha", "beta-alpha", "Beta schedule alpha", &R::beta_alpha, 0.01, 5, "alpha of the Beta schedule"},
    {"beta_dist_beta", "beta-beta", "Beta schedule beta", &R::beta_beta, 0.01, 5, "beta of the Beta schedule"},
    {"sgm_noise_multiplier", "sgm-noise-multiplier", "SGM noise multiplier", &R::sgm_noise_multiplier, {}, {}, "start from noise times sqrt(1 + sigma^2)"},
    {"eta", "eta", "Eta", &R::eta, 0, 10, "share of fresh noise; without it 1 for ancestral and SDE samplers, --eta-ddim for the DDIM family"},
    {"eta_ddim", "eta-ddim", "Eta DDIM", &R::eta_ddim, 0, 10, "share of fresh noise of the DDIM family"},
    {"s_churn", "sigma-churn", "Sigma churn", &R::sigma_churn, 0, 100, "extra noise of Euler, Heun and DPM2"},
    {"s_tmin", "sigma-tmin", "Sigma tmin", &R::sigma_tmin, 0, 1000, "churn only above this sigma"},
    {"s_tmax", "sigma-tmax", "Sigma tmax", &R::sigma_tmax, 0, 10000, "churn only below this sigma; 0: no limit"},
    {"s_noise", "sigma-noise", "Sigma noise", &R::sigma_noise, 0, 10, "strength of fresh noise"},
    {"skip_early_cond", "skip-early-cfg", "Skip Early CFG", &R::skip_early_cfg, 0, 1, "fraction of the steps at the beginning that ignore the negative prompt"},
    {"sd_noise_schedule", "noise-schedule", "Noise Schedule", &R::noise_schedule, {}, {}, "Default or Zero Terminal SNR"},
    {"use_downcasted_alpha_bar", "downcast-alphas", "Downcast alphas_cumprod", &R::downcast_alphas, {}, {}, "round the noise table to half precision, as A1111 before 1.7"},
    {"pad_cond_uncond", "pad-conds", "Pad conds", &R::pad_conds, {}, {}, "pad the shorter of prompt and negative prompt to equal length"},
    {"use_old_scheduling", "old-prompt-editing", "Old prompt editing timelines", &R::old_prompt_editing, {}, {}, "read [a:b:when] as A1111 before 1.6"},
    {"batch_size", "batch-size", "", &R::batch_size, 1, 64, "pictures made together"},
    {"n_iter", "batch-count", "", &R::batch_count, 1, 1000, "batches made one after the other"},
    {"comma_padding_backtrack", "comma-backtrack", "Prompt word wrap length limit", &R::comma_backtrack, 0, 74, "how many tokens a chunk may give up to end at a comma"},
    {"allow_missing_loras", "allow-missing-loras", "", &R::allow_missing_loras, {}, {}, "go on without a LoRA that is missing or does not fit, and say so"},
};
// clang-format on

template <typename Key>
const FieldRow* find(Key FieldRow::*key, std::string_view name) {
  if (name.empty()) return nullptr;
  const auto it = std::ranges::find(kFields, name, key);
  return it == std::end(kFields) ? nullptr : &*it;
}

void check_range(double value, const FieldRow& row, std::string_view label) {
  if (!(value >= row.min && value <= row.max))
    throw Error(kBadInput, "{} is {}, but must be between {} and {}.", label, value, row.min, row.max);
}

std::int64_t read_integer(std::string_view text, std::string_view label) {
  const std::string_view trimmed = prompt::trim(text);
  std::int64_t value = 0;
  const auto [end, failure] = std::from_chars(trimmed.data(), trimmed.data() + trimmed.size(), value);
  if (trimmed.empty() || failure != std::errc() || end != trimmed.data() + trimmed.size())
    throw Error(kBadInput, "{} is '{}', but must be a whole number.", label, text);
  return value;
}

Decimal read_decimal(std::string_view text, std::string_view label) {
  const auto value = prompt::parse_number(text);
  if (!value) throw Error(kBadInput, "{} is '{}', but must be a number.", label, text);
  Decimal decimal(*value);
  decimal.is_integer = prompt::parse_integer(text).has_value();
  return decimal;
}

bool read_bool(std::string_view text, std::string_view label) {
  const std::string word = prompt::lower(prompt::trim(text));
  if (word == "true" || word == "1") return true;
  if (word == "false" || word == "0") return false;
  throw Error(kBadInput, "{} is '{}', but must be true or false.", label, text);
}

}  // namespace

std::string Decimal::text() const {
  if (is_integer) return fmt::format("{}", static_cast<std::int64_t>(value));
  return prompt::number_text(value);
}

std::span<const FieldRow> field_table() {
  return kFields;
}
const FieldRow* field_by_api(std::string_view name) {
  return find(&FieldRow::api, name);
}
const FieldRow* field_by_flag(std::string_view name) {
  return find(&FieldRow::flag, name);
}
const FieldRow* field_by_infotext(std::string_view label) {
  return find(&FieldRow::infotext, label);
}

void set_field(GenerationRequest& request, const FieldRow& row, std::string_view text,
               std::string_view label) {
  std::visit(
      [&](auto member) {
        using T = std::remove_reference_t<decltype(request.*member)>;
        auto& field = request.*member;
        if constexpr (std::is_same_v<T, std::string>) {
          field = text;
        } else if constexpr (std::is_same_v<T, std::vector<std::string>>) {
          field.emplace_back(text);
        } else if constexpr (std::is_same_v<T, bool>) {
          field = read_bool(text, label);
        } else if constexpr (std::is_same_v<T, int> || std::is_same_v<T, std::int64_t>) {
          const std::int64_t value = read_integer(text, label);
          check_range(static_cast<double>(value), row, label);
          field = static_cast<T>(value);
        } else {
          const Decimal value = read_decimal(text, label);
          check_range(value.value, row, label);
          field = value;
        }
      },
      row.member);
}

std::optional<std::string> field_text(const GenerationRequest& request, const FieldRow& row) {
  return std::visit(
      [&](auto member) -> std::optional<std::string> {
        using T = std::remove_cvref_t<decltype(request.*member)>;
        const auto& field = request.*member;
        if constexpr (std::is_same_v<T, std::string>) {
          return field;
        } else if constexpr (std::is_same_v<T, std::vector<std::string>>) {
          return fmt::format("{}", fmt::join(field, ", "));
        } else if constexpr (std::is_same_v<T, bool>) {
          return field ? "True" : "False";
        } else if constexpr (std::is_same_v<T, std::optional<Decimal>>) {
          if (!field) return std::nullopt;
          return field->text();
        } else if constexpr (std::is_same_v<T, Decimal>) {
          return field.text();
        } else {
          return fmt::format("{}", field);
        }
      },
      row.member);
}

void check_request(const GenerationRequest& request) {
  for (const FieldRow& row : kFields) {
    std::visit(
        [&](auto member) {
          using T = std::remove_cvref_t<decltype(request.*member)>;
          const auto& field = request.*member;
          const std::string label = fmt::format("--{}", row.flag);
          if constexpr (std::is_same_v<T, int> || std::is_same_v<T, std::int64_t>) {
            check_range(static_cast<double>(field), row, label);
          } else if constexpr (std::is_same_v<T, Decimal>) {
            check_range(field.value, row, label);
          } else if constexpr (std::is_same_v<T, std::optional<Decimal>>) {
            if (field) check_range(field->value, row, label);
          }
        },
        row.member);
  }
  for (const auto& [name, pixels] :
       {std::pair{"width", request.width}, std::pair{"height", request.height}}) {
    if (pixels % 8 != 0)
      throw Error(kBadInput, "the {} is {} pixels, but must be a multiple of 8; {} is the nearest.", name,
                  pixels, std::max(8, (pixels + 4) / 8 * 8));
  }
}

}  // namespace lowrank::pipeline
