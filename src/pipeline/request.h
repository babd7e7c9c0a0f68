// What a user asks of a picture: A1111's parameters under A1111's meaning and defaults. Plain data; whether
// the words name something that exists (a sampler, a checkpoint, a LoRA) is found out by the session.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace lowrank::pipeline {

// A number that remembers how it was written: the metadata says `CFG scale: 7` for 7 and `7.0` for 7.0.
struct Decimal {
  double value = 0;
  bool is_integer = false;

  constexpr Decimal() = default;
  constexpr Decimal(int whole) : value(whole), is_integer(true) {}  // NOLINT: a literal is meant to convert
  constexpr Decimal(double number) : value(number) {}               // NOLINT
  std::string text() const;
  friend bool operator==(const Decimal&, const Decimal&) = default;
};

struct GenerationRequest {
  // What to draw.
  std::string prompt;
  std::string negative_prompt;
  std::vector<std::string> styles;  // names in styles.csv, applied in order

  // How to sample. Empty sampler: A1111's first, DPM++ 2M.
  int steps = 20;       // 1 … 150
  std::string sampler;  // A1111's label or alias; may carry a schedule: "DPM++ 2M Karras"
  std::string scheduler = "Automatic";
  Decimal cfg_scale = 7;      // 1: one U-Net pass without the negative prompt
  std::int64_t seed = -1;     // −1: random
  int width = 0, height = 0;  // pixels, multiples of 8; 0: the checkpoint's own size
  int batch_size = 1;         // pictures made together
  int batch_count = 1;        // batches one after the other; the picture i has seed + i

  // Which files.
  std::string checkpoint;         // empty: the resident one, else the newest
  std::string vae = "Automatic";  // a file in models/VAE, "Automatic" or "None": the checkpoint's own

  // Variations of a seed.
  std::int64_t subseed = -1;
  Decimal subseed_strength = 0;  // 0 … 1
  int seed_resize_width = 0, seed_resize_height = 0;

  // Settings that change the picture.
  int clip_skip = 1;        // 1: the last layer's output
  int ensd = 0;             // "Eta noise seed delta"
  std::string rng = "GPU";  // GPU, NV (the same numbers), CPU
  Decimal ngms = 0;         // "Negative Guidance minimum sigma", 0: off
  bool ngms_all_steps = false;
  std::string emphasis = "Original";  // Original, No norm, Ignore, None
  bool discard_penultimate_sigma = false;
  Decimal sigma_min = 0, sigma_max = 0, rho = 0;  // of a named schedule; 0: its own
  Decimal beta_alpha = 0.6, beta_beta = 0.6;
  bool sgm_noise_multiplier = false;
  std::optional<Decimal> eta;  // absent: 1, or eta_ddim for the DDIM family
  Decimal eta_ddim = 0;
  Decimal sigma_churn = 0, sigma_tmin = 0, sigma_tmax = 0, sigma_noise = 1;  // sigma_tmax 0: no limit
  Decimal skip_early_cfg = 0;              // fraction of the steps without the negative prompt
  std::string noise_schedule = "Default";  // Default, Zero Terminal SNR
  bool downcast_alphas = false;
  bool pad_conds = false;           // equalise prompt and negative prompt with empty chunks
  bool old_prompt_editing = false;  // "Old prompt editing timelines"
  int comma_backtrack = 20;         // "Prompt word wrap length limit", tokens

  // What a missing LoRA means.
  bool allow_missing_loras = false;  // go on without it and say so in the metadata

  int picture_count() const { return batch_size * batch_count; }
};

// Throws Error(kBadInput) with one sentence for the first field out of its range (field_table.h holds the
// ranges) or for fields that exclude each other.
void check_request(const GenerationRequest& request);

}  // namespace lowrank::pipeline
