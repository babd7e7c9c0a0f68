#include "server/options/option_table.h"

#include <algorithm>

namespace lowrank::server {
namespace {

using enum ParameterType;

// clang-format off
// Options that are also fields of a request (request/field_table.h) are its defaults.
constexpr OptionRow kOptions[] = {
    {{.name = "sd_model_checkpoint", .type = kString, .standard = "\"\"", .help = "title of the checkpoint; \"\" until one is chosen"}},
    {{.name = "sd_checkpoint_hash", .type = kString, .standard = "\"\"", .help = "its SHA-256"}},
    {{.name = "sd_vae", .type = kString, .standard = "\"Automatic\"", .help = "Automatic, None or a file of models/VAE"}},
    {{.name = "CLIP_stop_at_last_layers", .type = kInteger, .standard = "1", .min = 1, .max = 12}},
    {{.name = "samples_format", .type = kString, .standard = "\"png\"", .help = "png, jpg or webp"}},
    {{.name = "grid_format", .type = kString, .standard = "\"png\"", .help = "png, jpg or webp"}},
    {{.name = "jpeg_quality", .type = kInteger, .standard = "80", .min = 1, .max = 100}},
    {{.name = "samples_save", .type = kBoolean, .standard = "true"}},
    {{.name = "grid_save", .type = kBoolean, .standard = "true"}},
    {{.name = "return_grid", .type = kBoolean, .standard = "true"}},
    {{.name = "grid_only_if_multiple", .type = kBoolean, .standard = "true"}},
    {{.name = "enable_pnginfo", .type = kBoolean, .standard = "true"}},
    {{.name = "save_txt", .type = kBoolean, .standard = "false"}},
    {{.name = "samples_filename_pattern", .type = kString, .standard = "\"\""}},
    {{.name = "outdir_samples", .type = kString, .standard = "\"\""}, true},
    {{.name = "outdir_txt2img_samples", .type = kString, .standard = "\"outputs/txt2img-images\""}, true},
    {{.name = "outdir_img2img_samples", .type = kString, .standard = "\"outputs/img2img-images\""}, true},
    {{.name = "outdir_extras_samples", .type = kString, .standard = "\"outputs/extras-images\""}, true},
    {{.name = "outdir_txt2img_grids", .type = kString, .standard = "\"outputs/txt2img-grids\""}, true},
    {{.name = "outdir_img2img_grids", .type = kString, .standard = "\"outputs/img2img-grids\""}, true},
    {{.name = "eta_ancestral", .type = kNumber, .standard = "1.0", .min = 0, .max = 10}},
    {{.name = "eta_ddim", .type = kNumber, .standard = "0.0", .min = 0, .max = 10}},
    {{.name = "eta_noise_seed_delta", .type = kInteger, .standard = "0", .min = -2147483647, .max = 2147483647}},
    {{.name = "s_churn", .type = kNumber, .standard = "0.0", .min = 0, .max = 100}},
    {{.name = "s_tmin", .type = kNumber, .standard = "0.0", .min = 0, .max = 1000}},
    {{.name = "s_tmax", .type = kNumber, .standard = "0.0", .min = 0, .max = 10000}},
    {{.name = "s_noise", .type = kNumber, .standard = "1.0", .min = 0, .max = 10}},
    {{.name = "s_min_uncond", .type = kNumber, .standard = "0.0", .min = 0, .max = 15}},
    {{.name = "s_min_uncond_all", .type = kBoolean, .standard = "false"}},
    {{.name = "sigma_min", .type = kNumber, .standard = "0.0", .min = 0, .max = 1000}},
    {{.name = "sigma_max", .type = kNumber, .standard = "0.0", .min = 0, .max = 10000}},
    {{.name = "rho", .type = kNumber, .standard = "0.0", .min = 0, .max = 100}},
    {{.name = "beta_dist_alpha", .type = kNumber, .standard = "0.6", .min = 0.01, .max = 5}},
    {{.name = "beta_dist_beta", .type = kNumber, .standard = "0.6", .min = 0.01, .max = 5}},
    {{.name = "sgm_noise_multiplier", .type = kBoolean, .standard = "false"}},
    {{.name = "skip_early_cond", .type = kNumber, .standard = "0.0", .min = 0, .max = 1}},
    {{.name = "sd_noise_schedule", .type = kString, .standard = "\"Default\""}},
    {{.name = "use_downcasted_alpha_bar", .type = kBoolean, .standard = "false"}},
    {{.name = "pad_cond_uncond", .type = kBoolean, .standard = "false"}},
    {{.name = "randn_source", .type = kString, .standard = "\"GPU\"", .help = "GPU, CPU or NV"}},
    {{.name = "always_discard_next_to_last_sigma", .type = kBoolean, .standard = "false"}},
    {{.name = "img2img_fix_steps", .type = kBoolean, .standard = "false"}},
    {{.name = "img2img_color_correction", .type = kBoolean, .standard = "false"}},
    {{.name = "img2img_extra_noise", .type = kNumber, .standard = "0.0", .min = 0, .max = 1}},
    {{.name = "initial_noise_multiplier", .type = kNumber, .standard = "1.0", .min = 0, .max = 1.5}},
    {{.name = "inpainting_mask_weight", .type = kNumber, .standard = "1.0", .min = 0, .max = 1}},
    {{.name = "enable_emphasis", .type = kBoolean, .standard = "true"}},
    {{.name = "emphasis", .type = kString, .standard = "\"Original\"", .help = "Original, No norm, Ignore or None"}},
    {{.name = "comma_padding_backtrack", .type = kInteger, .standard = "20", .min = 0, .max = 74}},
    {{.name = "use_old_emphasis_implementation", .type = kBoolean, .standard = "false"}},
    {{.name = "use_old_scheduling", .type = kBoolean, .standard = "false"}},
    {{.name = "use_old_karras_scheduler_sigmas", .type = kBoolean, .standard = "false"}},
    {{.name = "refiner_switch_by_sample_steps", .type = kBoolean, .standard = "false"}},
    {{.name = "hires_fix_refiner_pass", .type = kString, .standard = "\"second pass\""}},
    {{.name = "face_restoration", .type = kBoolean, .standard = "false"}},
    {{.name = "face_restoration_model", .type = kString, .standard = "\"CodeFormer\""}},
    {{.name = "code_former_weight", .type = kNumber, .standard = "0.5", .min = 0, .max = 1}},
    {{.name = "tiling", .type = kBoolean, .standard = "false"}},
    {{.name = "live_previews_enable", .type = kBoolean, .standard = "true"}},
    {{.name = "show_progress_every_n_steps", .type = kInteger, .standard = "10", .min = -1, .max = 1000}},
    {{.name = "show_progress_type", .type = kString, .standard = "\"Approx NN\""}},
    {{.name = "live_previews_image_format", .type = kString, .standard = "\"png\"", .help = "png, jpeg or webp"}},
    {{.name = "sd_lora", .type = kString, .standard = "\"None\"", .help = "a LoRA added to every prompt"}},
    {{.name = "lora_preferred_name", .type = kString, .standard = "\"Alias from file\""}},
    {{.name = "lora_add_hashes_to_infotext", .type = kBoolean, .standard = "true"}},
    {{.name = "lora_show_all", .type = kBoolean, .standard = "false"}},
    {{.name = "lora_in_memory_limit", .type = kInteger, .standard = "0", .min = 0}},
    {{.name = "lora_functional", .type = kBoolean, .standard = "false"}},
    {{.name = "extra_networks_default_multiplier", .type = kNumber, .standard = "1.0", .min = -10, .max = 10}},
    {{.name = "add_model_hash_to_info", .type = kBoolean, .standard = "true"}},
    {{.name = "add_model_name_to_info", .type = kBoolean, .standard = "true"}},
    {{.name = "add_version_to_infotext", .type = kBoolean, .standard = "true"}},
    {{.name = "sd_checkpoints_limit", .type = kInteger, .standard = "1", .min = 1}},
    {{.name = "sd_checkpoint_cache", .type = kInteger, .standard = "0", .min = 0}},
    {{.name = "upscaler_for_img2img", .type = kString, .standard = "\"None\""}},
    {{.name = "ESRGAN_tile", .type = kInteger, .standard = "192", .min = 0, .max = 4096}},
    {{.name = "ESRGAN_tile_overlap", .type = kInteger, .standard = "8", .min = 0, .max = 256}},
    {{.name = "api_enable_requests", .type = kBoolean, .standard = "false", .help = "pictures by URL are not fetched"}, true},
    {{.name = "api_forbid_local_requests", .type = kBoolean, .standard = "true"}, true},
    {{.name = "api_useragent", .type = kString, .standard = "\"\""}, true},
    {{.name = "sd_unet", .type = kString, .standard = "\"Automatic\""}},
    {{.name = "token_merging_ratio", .type = kNumber, .standard = "0.0", .min = 0, .max = 1}},
    {{.name = "token_merging_ratio_hr", .type = kNumber, .standard = "0.0", .min = 0, .max = 1}},
    {{.name = "step_cache", .type = kInteger, .standard = "1", .help = "only every so many steps run the whole U-Net", .min = 1, .max = 10}},
    {{.name = "fp8_storage", .type = kString, .standard = "\"Disable\""}},
    {{.name = "cache_fp16_weight", .type = kBoolean, .standard = "false"}},
};
// clang-format on

}  // namespace

std::span<const OptionRow> option_table() {
  return kOptions;
}

const OptionRow* find_option(std::string_view name) {
  const auto found =
      std::ranges::find(kOptions, name, [](const OptionRow& row) { return row.parameter.name; });
  return found == std::end(kOptions) ? nullptr : &*found;
}

}  // namespace lowrank::server
