#include "request/field_table.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <limits>
#include <type_traits>

#include "base/error.h"
#include "base/text/text.h"
#include "prompt/infotext.h"
#include "prompt/infotext_values.h"
#include "request/names.h"

namespace lowrank::request {
namespace {

using R = GenerationRequest;
using E = ExtrasRequest;

// A1111's words where it writes words for numbers.
constexpr std::string_view kResizeModes[] = {"Just resize", "Crop and resize", "Resize and fill",
                                             "Just resize (latent upscale)"};
constexpr std::string_view kFills[] = {"fill", "original", "latent noise", "latent nothing"};
constexpr std::string_view kInpaintAreas[] = {"Whole picture", "Only masked"};
constexpr std::string_view kMaskModes[] = {"Inpaint masked", "Inpaint not masked"};
constexpr std::string_view kMaskEdges[] = {"Soft", "Rounded"};
constexpr std::string_view kCrops[] = {"False", "True"};

constexpr double kMaxSeed = static_cast<double>(prompt::kLargestSeed);
constexpr std::string_view kEmphasis[] = {"Original", "No norm", "Ignore", "None"};
constexpr std::string_view kNoiseSources[] = {"GPU", "NV", "CPU"};
constexpr std::string_view kNoiseSchedules[] = {"Default", "Zero Terminal SNR"};
constexpr std::string_view kPrecisions[] = {"float32", "bf16", "int8"};
constexpr std::string_view kPredictions[] = {"Automatic", "epsilon", "v", "flow"};
constexpr std::string_view kRefinerPasses[] = {"first pass", "second pass", "both passes"};
constexpr std::string_view kVaeMethods[] = {"Full", "TAESD"};
using Names = std::span<const std::string_view>;

constexpr FieldTraits kTxt2imgOnly{.read_by = ReadBy::kTxt2img}, kImg2imgOnly{.read_by = ReadBy::kImg2img},
    kCheckpointName{.is_checkpoint = true};

// clang-format off
// In the order of A1111's metadata; fields that it does not write come last.
constexpr FieldRow kFields[] = {
    {"prompt", "prompt", "", &R::prompt, {}, {}, "what to generate; <lora:NAME:WEIGHT> adds a LoRA", {}, {.letter = 'p'}},
    {"negative_prompt", "negative", "", &R::negative_prompt, {}, {}, "what to avoid in the picture", {}, {.letter = 'n'}},
    {"styles", "style", "", &R::styles, {}, {}, "a style from styles.csv; may be given several times"},
    {"steps", "steps", "Steps", &R::steps, 1, 1000, "sampling steps", {}, {.form = {.max = 150}}},
    {"sampler_name", "sampler", "Sampler", &R::sampler, {}, {}, "sampler by A1111's name, such as \"Euler a\"", {}, {.choices = sampler_names, .first_is_default = true}},
    {"scheduler", "scheduler", "Schedule type", &R::scheduler, {}, {}, "noise schedule: Automatic, Karras …", {}, {.choices = schedule_names}},
    {"cfg_scale", "cfg", "CFG scale", &R::cfg_scale, 0, 100, "guidance scale; 1 is twice as fast and ignores the negative prompt", {}, {.form = {.min = 1, .max = 30, .step = 0.5}}},
    {"seed", "seed", "Seed", &R::seed, -1, kMaxSeed, "seed of the first picture; -1: random"},
    {"width", "width", "Size-1", &R::width, 0, 4096, "width in pixels, a multiple of 8; 0: the checkpoint's native size", {}, {.letter = 'W', .form = {.first_value = "512", .min = 64, .step = 8}}},
    {"height", "height", "Size-2", &R::height, 0, 4096, "height in pixels, a multiple of 8; 0: the checkpoint's native size", {}, {.letter = 'H', .form = {.first_value = "512", .min = 64, .step = 8}}},
    {"sd_model_checkpoint", "model", "Model", &R::checkpoint, {}, {}, "checkpoint by name or path (default: the newest)", {}, kCheckpointName},
    {"sd_vae", "vae", "VAE", &R::vae, {}, {}, "VAE by name or path, Automatic or None"},
    {"sd_vae_encode_method", "vae-encoder", "VAE Encoder", &R::vae_encoder, {}, {}, "what makes latents of pictures: Full (the VAE) or TAESD (quick, less exact; a file in models/VAE-approx)", {}, {.choices = [] { return Names(kVaeMethods); }, .only_choices = true}},
    {"sd_vae_decode_method", "vae-decoder", "VAE Decoder", &R::vae_decoder, {}, {}, "what makes pictures of latents: Full (the VAE) or TAESD (quick, less exact; a file in models/VAE-approx)", {}, {.choices = [] { return Names(kVaeMethods); }, .only_choices = true}},
    {"subseed", "subseed", "Variation seed", &R::subseed, -1, kMaxSeed, "variation seed; -1: random"},
    {"subseed_strength", "subseed-strength", "Variation seed strength", &R::subseed_strength, 0, 1, "how far to move towards the variation seed, 0 to 1", {}, {.form = {.step = 0.05}}},
    {"seed_resize_from_w", "seed-resize-width", "Seed resize from-1", &R::seed_resize_width, -1, 4096, "width at which the seed was originally used"},
    {"seed_resize_from_h", "seed-resize-height", "Seed resize from-2", &R::seed_resize_height, -1, 4096, "height at which the seed was originally used"},
    {"CLIP_stop_at_last_layers", "clip-skip", "Clip skip", &R::clip_skip, 1, 24, "1: use the text encoder's last layer, 2: the one before it …; SD 2.x and SDXL already use the penultimate layer, whatever it says (but see --sdxl-clip-l-skip)"},
    {"sdxl_clip_l_skip", "sdxl-clip-l-skip", "SDXL CLIP-L skip", &R::sdxl_clip_l_skip, {}, {}, "let --clip-skip count for SDXL's first text encoder too, where 2 is what SDXL was trained with"},
    {"sdxl_crop_top", "sdxl-crop-top", "SDXL crop top", &R::sdxl_crop_top, 0, 16384, "pixels that SDXL is told were cut off the picture's top"},
    {"sdxl_crop_left", "sdxl-crop-left", "SDXL crop left", &R::sdxl_crop_left, 0, 16384, "pixels that SDXL is told were cut off the picture's left"},
    {"sdxl_refiner_low_aesthetic_score", "sdxl-low-score", "SDXL low aesthetic score", &R::sdxl_low_aesthetic_score, 0, 100, "aesthetic score that SDXL's refiner is told for the negative prompt"},
    {"sdxl_refiner_high_aesthetic_score", "sdxl-high-score", "SDXL high aesthetic score", &R::sdxl_high_aesthetic_score, 0, 100, "aesthetic score that SDXL's refiner is told for the prompt"},
    {"eta_noise_seed_delta", "ensd", "ENSD", &R::ensd, -2147483647, 2147483647, "eta noise seed delta (ENSD)"},
    {"randn_source", "rng", "RNG", &R::rng, {}, {}, "source of noise: GPU, NV (the same numbers) or CPU", {}, {.choices = [] { return Names(kNoiseSources); }, .only_choices = true}},
    {"s_min_uncond", "ngms", "NGMS", &R::ngms, 0, 15, "below this sigma every second step skips the negative prompt"},
    {"s_min_uncond_all", "ngms-all-steps", "NGMS all steps", &R::ngms_all_steps, {}, {}, "skip the negative prompt in every step below --ngms"},
    {"emphasis", "emphasis", "Emphasis", &R::emphasis, {}, {}, "Original, No norm, Ignore or None", {}, {.choices = [] { return Names(kEmphasis); }, .only_choices = true}},
    {"always_discard_next_to_last_sigma", "discard-penultimate-sigma", "Discard penultimate sigma", &R::discard_penultimate_sigma, {}, {}, "drop the schedule's second-to-last sigma"},
    {"sigma_min", "sigma-min", "Schedule min sigma", &R::sigma_min, 0, 1000, "smallest sigma of the schedule; 0: the schedule's default"},
    {"sigma_max", "sigma-max", "Schedule max sigma", &R::sigma_max, 0, 10000, "largest sigma of the schedule; 0: the schedule's default"},
    {"rho", "rho", "Schedule rho", &R::rho, 0, 100, "rho of Karras and Polyexponential; 0: the schedule's default"},
    {"beta_dist_alpha", "beta-alpha", "Beta schedule alpha", &R::beta_alpha, 0.01, 5, "alpha of the Beta schedule"},
    {"beta_dist_beta", "beta-beta", "Beta schedule beta", &R::beta_beta, 0.01, 5, "beta of the Beta schedule"},
    {"sgm_noise_multiplier", "sgm-noise-multiplier", "SGM noise multiplier", &R::sgm_noise_multiplier, {}, {}, "start from noise times sqrt(1 + sigma^2)"},
    {"eta", "eta", "Eta", &R::eta, 0, 10, "amount of fresh noise (default: 1 for ancestral and SDE samplers, --eta-ddim for the DDIM family)"},
    {"eta_ddim", "eta-ddim", "Eta DDIM", &R::eta_ddim, 0, 10, "amount of fresh noise for the DDIM family"},
    {"s_churn", "sigma-churn", "Sigma churn", &R::sigma_churn, 0, 100, "extra noise of Euler, Heun and DPM2"},
    {"s_tmin", "sigma-tmin", "Sigma tmin", &R::sigma_tmin, 0, 1000, "apply churn only above this sigma"},
    {"s_tmax", "sigma-tmax", "Sigma tmax", &R::sigma_tmax, 0, 10000, "apply churn only below this sigma; 0: no limit"},
    {"s_noise", "sigma-noise", "Sigma noise", &R::sigma_noise, 0, 10, "scale of the added noise"},
    {"skip_early_cond", "skip-early-cfg", "Skip Early CFG", &R::skip_early_cfg, 0, 1, "fraction of the steps, from the start, that ignore the negative prompt"},
    {"sd_noise_schedule", "noise-schedule", "Noise Schedule", &R::noise_schedule, {}, {}, "Default or Zero Terminal SNR", {}, {.choices = [] { return Names(kNoiseSchedules); }, .only_choices = true}},
    {"use_downcasted_alpha_bar", "downcast-alphas", "Downcast alphas_cumprod", &R::downcast_alphas, {}, {}, "round the noise table to half precision, as A1111 did before 1.7"},
    {"prediction_type", "prediction", "Prediction type", &R::prediction, {}, {}, "what the checkpoint predicts: epsilon, v or flow (default: what its file states)", {}, {.choices = [] { return Names(kPredictions); }, .only_choices = true}},
    {"flow_shift", "flow-shift", "Shift", &R::flow_shift, 0, 100, "of a rectified-flow checkpoint: how far the steps move towards noise; 0: the checkpoint's own, else 3"},
    {"pad_cond_uncond", "pad-conds", "Pad conds", &R::pad_conds, {}, {}, "pad the shorter of prompt and negative prompt to the same length"},
    {"use_old_scheduling", "old-prompt-editing", "Old prompt editing timelines", &R::old_prompt_editing, {}, {}, "read [a:b:when] as A1111 did before 1.6"},
    {"token_merging_ratio", "token-merging", "Token merging ratio", &R::token_merging_ratio, 0, 1, "speed-up: share of tokens to merge in the highest-resolution self-attention layers"},
    {"token_merging_ratio_hr", "hires-token-merging", "Token merging ratio hr", &R::token_merging_ratio_hr, 0, 1, "the same for hires fix; 0: as in the first pass"},
    {"step_cache", "step-cache", "Step cache", &R::step_cache, 1, 10, "speed-up: run the whole U-Net only every N steps (DeepCache)"},
    {"precision", "precision", "Precision", &R::precision, {}, {}, "speed-up, where the processor can: bf16 multiplies bfloat16 in the U-Net's linear layers and attention, int8 multiplies the 8-bit weights of --int8 with 8-bit inputs", {}, {.choices = [] { return Names(kPrecisions); }, .only_choices = true}},
    {"tiling", "tiling", "Tiling", &R::tiling, {}, {}, "make a seamless picture that can be tiled"},
    {"refiner_checkpoint", "refiner", "Refiner", &R::refiner_checkpoint, {}, {}, "checkpoint that finishes the picture from --refiner-switch-at on, such as SDXL's refiner", {}, kCheckpointName},
    {"refiner_switch_at", "refiner-switch-at", "Refiner switch at", &R::refiner_switch_at, 0, 1, "fraction of sampling at which to switch to the refiner; 0 or 1: never (the command line: 0.8 where a refiner is given)", {}, {.form = {.first_value = "0.8", .step = 0.05}}},
    {"refiner_switch_by_sample_steps", "refiner-switch-by-steps", "Refiner switch by sampling steps", &R::refiner_switch_by_steps, {}, {}, "measure --refiner-switch-at in steps instead of timesteps"},
    {"hires_fix_refiner_pass", "hires-refiner", "Hires refiner", &R::hires_refiner_pass, {}, {}, "pass of hires fix that uses the refiner: first pass, second pass or both passes", {}, {.choices = [] { return Names(kRefinerPasses); }, .only_choices = true, .read_by = ReadBy::kTxt2img}},
    {"enable_hr", "hires", "", &R::enable_hr, {}, {}, "hires fix: upscale the picture, then sample again to add detail", {}, kTxt2imgOnly},
    {"hr_scale", "hires-scale", "Hires upscale", &R::hr_scale, 1, 4, "upscale factor of hires fix", {}, {.read_by = ReadBy::kTxt2img, .form = {.step = 0.05}}},
    {"hr_upscaler", "hires-upscaler", "Hires upscaler", &R::hr_upscaler, {}, {}, "upscaler of hires fix: Latent and its variants, Lanczos, Nearest or a file in models/ESRGAN", {}, {.choices = hires_upscaler_names, .read_by = ReadBy::kTxt2img}},
    {"hr_second_pass_steps", "hires-steps", "Hires steps", &R::hr_second_pass_steps, 0, 1000, "steps of the second pass; 0: as many as the first", {}, {.read_by = ReadBy::kTxt2img, .form = {.max = 150}}},
    {"hr_resize_x", "hires-width", "Hires resize-1", &R::hr_resize_x, 0, 8192, "final width in pixels, instead of --hires-scale; 0: keep the aspect ratio", {}, kTxt2imgOnly},
    {"hr_resize_y", "hires-height", "Hires resize-2", &R::hr_resize_y, 0, 8192, "final height in pixels, instead of --hires-scale; 0: keep the aspect ratio", {}, kTxt2imgOnly},
    {"firstphase_width", "firstphase-width", "", &R::firstphase_width, 0, 4096, "width of hires fix's first pass; --width is then the final width", {}, kTxt2imgOnly},
    {"firstphase_height", "firstphase-height", "", &R::firstphase_height, 0, 4096, "height of hires fix's first pass; --height is then the final height", {}, kTxt2imgOnly},
    {"hr_checkpoint_name", "hires-model", "Hires checkpoint", &R::hr_checkpoint, {}, {}, "checkpoint of the second pass", {}, {.read_by = ReadBy::kTxt2img, .is_checkpoint = true}},
    {"hr_sampler_name", "hires-sampler", "Hires sampler", &R::hr_sampler, {}, {}, "sampler of the second pass", {}, {.choices = sampler_names, .read_by = ReadBy::kTxt2img}},
    {"hr_scheduler", "hires-scheduler", "Hires schedule type", &R::hr_scheduler, {}, {}, "noise schedule of the second pass", {}, {.choices = schedule_names, .read_by = ReadBy::kTxt2img}},
    {"hr_prompt", "hires-prompt", "Hires prompt", &R::hr_prompt, {}, {}, "prompt of the second pass", {}, kTxt2imgOnly},
    {"hr_negative_prompt", "hires-negative", "Hires negative prompt", &R::hr_negative_prompt, {}, {}, "negative prompt of the second pass", {}, kTxt2imgOnly},
    {"denoising_strength", "denoising", "Denoising strength", &R::denoising_strength, 0, 1, "how much to change the init picture, or the first pass", {}, {.form = {.step = 0.01}}},
    {"resize_mode", "resize-mode", "Resize mode", &R::resize_mode, 0, 3, "how to fit an init picture of a different size", kResizeModes, kImg2imgOnly},
    {"upscaler_for_img2img", "upscaler", "Img2img upscaler", &R::upscaler_for_img2img, {}, {}, "upscaler for small init pictures: None, Lanczos, Nearest or a file in models/ESRGAN", {}, {.choices = plain_upscaler_names, .read_by = ReadBy::kImg2img}},
    {"img2img_fix_steps", "fix-steps", "Img2img fix steps", &R::img2img_fix_steps, {}, {}, "img2img runs all steps, whatever the denoising strength", {}, kImg2imgOnly},
    {"img2img_color_correction", "color-correction", "Color correction", &R::color_correction, {}, {}, "img2img matches the colours of the init picture"},
    {"initial_noise_multiplier", "noise-multiplier", "Noise multiplier", &R::initial_noise_multiplier, 0, 1.5, "multiplier of img2img's initial noise", {}, kImg2imgOnly},
    {"img2img_extra_noise", "extra-noise", "Extra noise", &R::extra_noise, 0, 1, "extra noise for img2img and hires fix"},
    {"mask_blur", "mask-blur", "Mask blur", &R::mask_blur, -1, 64, "blur of the mask's edge in pixels; -1: use --mask-blur-x and --mask-blur-y", {}, {.read_by = ReadBy::kImg2img, .form = {.first_value = "4", .min = 0}}},
    {"mask_blur_x", "mask-blur-x", "Mask blur-1", &R::mask_blur_x, 0, 64, "horizontal blur of the mask's edge in pixels", {}, kImg2imgOnly},
    {"mask_blur_y", "mask-blur-y", "Mask blur-2", &R::mask_blur_y, 0, 64, "vertical blur of the mask's edge in pixels", {}, kImg2imgOnly},
    {"mask_round", "mask-edge", "Mask edge", &R::mask_round, {}, {}, "whether the mask is blended (Soft) or rounded (Rounded) at the resolution of the latents", kMaskEdges, kImg2imgOnly},
    {"inpainting_mask_invert", "mask-mode", "Mask mode", &R::inpainting_mask_invert, 0, 1, "which area to inpaint", kMaskModes, kImg2imgOnly},
    {"inpainting_fill", "masked-content", "Masked content", &R::inpainting_fill, 0, 3, "what to fill the masked area with before inpainting", kFills, {.read_by = ReadBy::kImg2img, .form = {.first_value = "original"}}},
    {"inpaint_full_res", "inpaint-area", "Inpaint area", &R::inpaint_full_res, {}, {}, "inpaint at the whole picture's resolution, or enlarge the masked area", kInpaintAreas, {.read_by = ReadBy::kImg2img, .form = {.first_value = "Whole picture"}}},
    {"inpaint_full_res_padding", "inpaint-padding", "Masked area padding", &R::inpaint_full_res_padding, 0, 1024, "padding around the masked area in pixels", {}, {.read_by = ReadBy::kImg2img, .form = {.first_value = "32", .max = 256, .step = 4}}},
    {"inpainting_mask_weight", "mask-weight", "Conditional mask weight", &R::inpainting_mask_weight, 0, 1, "how strongly an inpainting checkpoint's view of the picture is masked", {}, kImg2imgOnly},
    {"ESRGAN_tile", "tile", "", &R::esrgan_tile, 0, 4096, "tile size in pixels for upscaler models; 0: no tiling"},
    {"ESRGAN_tile_overlap", "tile-overlap", "", &R::esrgan_tile_overlap, 0, 256, "overlap of the tiles in pixels"},
    {"batch_size", "batch-size", "", &R::batch_size, 1, 64, "pictures generated together"},
    {"n_iter", "batch-count", "", &R::batch_count, 1, 1000, "batches generated one after another"},
    {"comma_padding_backtrack", "comma-backtrack", "Prompt word wrap length limit", &R::comma_backtrack, 0, 74, "how many tokens back to look for a comma when a chunk is full"},
    {"auto_few_steps", "auto", "", &R::auto_few_steps, {}, {}, "with a LoRA or checkpoint for few steps (LCM, Lightning …), use the steps, CFG scale, sampler and schedule it was made for"},
    {"allow_missing_loras", "allow-missing-loras", "", &R::allow_missing_loras, {}, {}, "continue without LoRAs that are missing or do not fit, with a warning"},
    {"disable_extra_networks", "disable-extra-networks", "", &R::disable_extra_networks, {}, {}, "ignore <lora:...> tags"},
};

constexpr ExtrasFieldRow kExtrasFields[] = {
    {"resize_mode", "resize-mode", "", &E::resize_mode, 0, 1, "0: scale by a factor, 1: scale to a size"},
    {"upscaling_resize", "scale", "Postprocess upscale by", &E::upscaling_resize, 0.05, 16, "factor", {}, {.form = {.min = 1, .max = 8, .step = 0.05}}},
    {"upscaling_resize_w", "width", "", &E::upscaling_width, 1, 16384, "pixels"},
    {"upscaling_resize_h", "height", "", &E::upscaling_height, 1, 16384, "pixels"},
    {"upscaling_crop", "crop", "Postprocess crop to", &E::upscaling_crop, {}, {}, "when scaling to a size: fill it and crop the excess", kCrops},
    {"upscaler_1", "upscaler", "Postprocess upscaler", &E::upscaler_1, {}, {}, "None, Lanczos, Nearest or a file in models/ESRGAN", {}, {.choices = plain_upscaler_names, .form = {.first_value = "Lanczos"}}},
    {"upscaler_2", "upscaler-2", "Postprocess upscaler 2", &E::upscaler_2, {}, {}, "second upscaler to blend in", {}, {.choices = plain_upscaler_names}},
    {"extras_upscaler_2_visibility", "upscaler-2-visibility", "", &E::upscaler_2_visibility, 0, 1, "opacity of the second upscaler's result", {}, {.form = {.step = 0.05}}},
    {"ESRGAN_tile", "tile", "", &E::esrgan_tile, 0, 4096, "tile size in pixels for upscaler models; 0: no tiling"},
    {"ESRGAN_tile_overlap", "tile-overlap", "", &E::esrgan_tile_overlap, 0, 256, "overlap of the tiles in pixels"},
};
// clang-format on

template <typename Key>
const FieldRow* find(Key FieldRow::*key, std::string_view name) {
  if (name.empty()) return nullptr;
  const auto it = std::ranges::find(kFields, name, key);
  return it == std::end(kFields) ? nullptr : &*it;
}

template <typename Row>
void check_range(double value, const Row& row, std::string_view label) {
  if (!(value >= row.min && value <= row.max))
    throw Error(kBadInput, "{} is {}, but must be between {} and {}.", label, value, row.min, row.max);
}

std::int64_t read_integer(std::string_view text, std::string_view label) {
  const std::string_view trimmed = trim(text);
  std::int64_t value = 0;
  const auto [end, failure] = std::from_chars(trimmed.data(), trimmed.data() + trimmed.size(), value);
  if (failure == std::errc::result_out_of_range && end == trimmed.data() + trimmed.size())
    throw Error(kBadInput, "{} is '{}', which is too large ({} at most).", label, trimmed.substr(0, 60),
                std::numeric_limits<std::int64_t>::max());
  if (trimmed.empty() || failure != std::errc() || end != trimmed.data() + trimmed.size())
    throw Error(kBadInput, "{} is '{}', but must be a whole number.", label, text);
  return value;
}

Decimal read_decimal(std::string_view text, std::string_view label) {
  const auto value = parse_number(text);
  if (!value) throw Error(kBadInput, "{} is '{}', but must be a number.", label, text);
  Decimal decimal(*value);
  decimal.is_integer = parse_integer(text).has_value();
  return decimal;
}

bool read_bool(std::string_view text, std::string_view label) {
  const std::string word = lower(trim(text));
  if (word == "true" || word == "1") return true;
  if (word == "false" || word == "0") return false;
  throw Error(kBadInput, "{} is '{}', but must be true or false.", label, text);
}

// The place of `text` among the words, without regard to case.
std::optional<int> word_index(std::span<const std::string_view> words, std::string_view text) {
  const std::string word = lower(trim(text));
  const auto it = std::ranges::find_if(words, [&](std::string_view known) { return lower(known) == word; });
  if (it == words.end()) return std::nullopt;
  return static_cast<int>(it - words.begin());
}

template <typename Request>
void check_fields(const Request& request, std::span<const FieldRowOf<Request>> rows) {
  for (const auto& row : rows) {
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

std::span<const ExtrasFieldRow> extras_field_table() {
  return kExtrasFields;
}

template <typename Request>
void set_field(Request& request, const FieldRowOf<Request>& row, std::string_view text,
               std::string_view label) {
  const auto word = word_index(row.words, text);
  std::visit(
      [&](auto member) {
        using T = std::remove_reference_t<decltype(request.*member)>;
        auto& field = request.*member;
        if constexpr (std::is_same_v<T, std::string>) {
          field = text;
        } else if constexpr (std::is_same_v<T, std::vector<std::string>>) {
          field.emplace_back(text);
        } else if constexpr (std::is_same_v<T, bool>) {
          field = word ? *word != 0 : read_bool(text, label);
        } else if constexpr (std::is_same_v<T, int> || std::is_same_v<T, std::int64_t>) {
          if (!word && !row.words.empty() && !parse_integer(text))
            throw Error(kBadInput, "{} is '{}', but must be one of {}.", label, text,
                        fmt::join(row.words, ", "));
          const std::int64_t value = word ? *word : read_integer(text, label);
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

template <typename Request>
std::optional<std::string> field_text(const Request& request, const FieldRowOf<Request>& row) {
  return std::visit(
      [&](auto member) -> std::optional<std::string> {
        using T = std::remove_cvref_t<decltype(request.*member)>;
        const auto& field = request.*member;
        const auto word = [&](int value) { return std::string(row.words[static_cast<std::size_t>(value)]); };
        if constexpr (std::is_same_v<T, std::string>) {
          return field;
        } else if constexpr (std::is_same_v<T, std::vector<std::string>>) {
          return fmt::format("{}", fmt::join(field, ", "));
        } else if constexpr (std::is_same_v<T, bool>) {
          if (!row.words.empty()) return word(field ? 1 : 0);
          return field ? "True" : "False";
        } else if constexpr (std::is_same_v<T, std::optional<Decimal>>) {
          if (!field) return std::nullopt;
          return field->text();
        } else if constexpr (std::is_same_v<T, Decimal>) {
          return field.text();
        } else {
          if (field >= 0 && static_cast<std::size_t>(field) < row.words.size())
            return word(static_cast<int>(field));
          return fmt::format("{}", field);
        }
      },
      row.member);
}

template void set_field(GenerationRequest&, const FieldRow&, std::string_view, std::string_view);
template void set_field(ExtrasRequest&, const ExtrasFieldRow&, std::string_view, std::string_view);
template std::optional<std::string> field_text(const GenerationRequest&, const FieldRow&);
template std::optional<std::string> field_text(const ExtrasRequest&, const ExtrasFieldRow&);

PixelSize parse_size(std::string_view text, std::string_view label) {
  const int most = static_cast<int>(field_by_api("width")->max);
  const auto x = text.find('x');
  const auto side = [&](std::string_view part) {
    const auto value = parse_integer(part);
    if (!value || *value < 8 || *value > most)
      throw Error(kBadInput, "{} is '{}', but must be WIDTHxHEIGHT in pixels (8 to {}), such as 512x768.",
                  label, text, most);
    return *value;
  };
  if (x == std::string_view::npos) return {side(text), side(text)};
  return {side(text.substr(0, x)), side(text.substr(x + 1))};
}

void check_request(const ExtrasRequest& request) {
  check_fields(request, extras_field_table());
}

void check_request(const GenerationRequest& request) {
  check_fields(request, field_table());
  for (const auto& [name, pixels] :
       {std::pair{"width", request.width}, std::pair{"height", request.height}}) {
    if (pixels % 8 != 0)
      throw Error(kBadInput, "the {} is {} pixels, but must be a multiple of 8; {} is the nearest.", name,
                  pixels, std::max(8, (pixels + 4) / 8 * 8));
  }
}

}  // namespace lowrank::request
