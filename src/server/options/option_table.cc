#include "server/options/option_table.h"

#include <algorithm>
#include <vector>

#include "image/codec/codec.h"
#include "server/fields/field_parameter.h"

namespace lowrank::server {
namespace {

using enum ParameterType;

// clang-format off
// Options that are also fields of a request are its defaults: field_parameter().
std::vector<OptionRow> make_options() {
  return {
      {field_parameter("sd_model_checkpoint")},
      {{.name = "sd_checkpoint_hash", .type = kString, .default_value = "\"\"", .help = "its SHA-256"}},
      {field_parameter("sd_vae")},
      {field_parameter("sd_vae_encode_method")},
      {field_parameter("sd_vae_decode_method")},
      {field_parameter("CLIP_stop_at_last_layers")},
      {{.name = "samples_format", .type = kString, .default_value = "\"png\"", .help = "png, jpg or webp"}},
      {{.name = "grid_format", .type = kString, .default_value = "\"png\"", .help = "png, jpg or webp"}},
      {{.name = "jpeg_quality", .type = kInteger, .default_value = kept(std::to_string(image::kUsualQuality)), .min = 1, .max = 100}},
      {{.name = "samples_save", .type = kBoolean, .default_value = "true"}},
      {{.name = "grid_save", .type = kBoolean, .default_value = "true"}},
      {{.name = "return_grid", .type = kBoolean, .default_value = "true"}},
      {{.name = "grid_only_if_multiple", .type = kBoolean, .default_value = "true"}},
      {{.name = "enable_pnginfo", .type = kBoolean, .default_value = "true"}},
      {{.name = "save_txt", .type = kBoolean, .default_value = "false"}},
      {{.name = "samples_filename_pattern", .type = kString, .default_value = "\"\""}},
      {{.name = "outdir_samples", .type = kString, .default_value = "\"\""}, true},
      {{.name = "outdir_txt2img_samples", .type = kString, .default_value = "\"outputs/txt2img-images\""}, true},
      {{.name = "outdir_img2img_samples", .type = kString, .default_value = "\"outputs/img2img-images\""}, true},
      {{.name = "outdir_extras_samples", .type = kString, .default_value = "\"outputs/extras-images\""}, true},
      {{.name = "outdir_txt2img_grids", .type = kString, .default_value = "\"outputs/txt2img-grids\""}, true},
      {{.name = "outdir_img2img_grids", .type = kString, .default_value = "\"outputs/img2img-grids\""}, true},
      {{.name = "eta_ancestral", .type = kNumber, .default_value = "1.0", .min = 0, .max = 10}},
      {field_parameter("eta_ddim")},
      {field_parameter("eta_noise_seed_delta")},
      {field_parameter("s_churn")},
      {field_parameter("s_tmin")},
      {field_parameter("s_tmax")},
      {field_parameter("s_noise")},
      {field_parameter("s_min_uncond")},
      {field_parameter("s_min_uncond_all")},
      {field_parameter("sigma_min")},
      {field_parameter("sigma_max")},
      {field_parameter("rho")},
      {field_parameter("beta_dist_alpha")},
      {field_parameter("beta_dist_beta")},
      {field_parameter("sgm_noise_multiplier")},
      {field_parameter("skip_early_cond")},
      {field_parameter("sd_noise_schedule")},
      {field_parameter("use_downcasted_alpha_bar")},
      {field_parameter("sdxl_clip_l_skip")},
      {field_parameter("sdxl_crop_top")},
      {field_parameter("sdxl_crop_left")},
      {field_parameter("sdxl_refiner_low_aesthetic_score")},
      {field_parameter("sdxl_refiner_high_aesthetic_score")},
      {field_parameter("prediction_type")},
      {field_parameter("flow_shift")},
      {field_parameter("auto_few_steps")},
      {field_parameter("pad_cond_uncond")},
      {field_parameter("randn_source")},
      {field_parameter("always_discard_next_to_last_sigma")},
      {field_parameter("img2img_fix_steps")},
      {field_parameter("img2img_color_correction")},
      {field_parameter("img2img_extra_noise")},
      {field_parameter("initial_noise_multiplier")},
      {field_parameter("inpainting_mask_weight")},
      {{.name = "enable_emphasis", .type = kBoolean, .default_value = "true"}},
      {field_parameter("emphasis")},
      {field_parameter("comma_padding_backtrack")},
      {{.name = "use_old_emphasis_implementation", .type = kBoolean, .default_value = "false"}},
      {field_parameter("use_old_scheduling")},
      {{.name = "use_old_karras_scheduler_sigmas", .type = kBoolean, .default_value = "false"}},
      {field_parameter("refiner_switch_by_sample_steps")},
      {field_parameter("hires_fix_refiner_pass")},
      {{.name = "face_restoration", .type = kBoolean, .default_value = "false"}},
      {{.name = "face_restoration_model", .type = kString, .default_value = "\"CodeFormer\""}},
      {{.name = "code_former_weight", .type = kNumber, .default_value = "0.5", .min = 0, .max = 1}},
      {field_parameter("tiling")},
      {{.name = "live_previews_enable", .type = kBoolean, .default_value = "true"}},
      {{.name = "show_progress_every_n_steps", .type = kInteger, .default_value = "10", .min = -1, .max = 1000}},
      {{.name = "show_progress_type", .type = kString, .default_value = "\"Approx NN\"", .help = "Approx NN (TAESD where its file lies in models/VAE-approx, else Approx cheap), Approx cheap, TAESD or Full"}},
      {{.name = "live_previews_image_format", .type = kString, .default_value = "\"png\"", .help = "png, jpeg or webp"}},
      {{.name = "sd_lora", .type = kString, .default_value = "\"None\"", .help = "a LoRA added to every prompt"}},
      {{.name = "lora_preferred_name", .type = kString, .default_value = "\"Alias from file\""}},
      {{.name = "lora_add_hashes_to_infotext", .type = kBoolean, .default_value = "true"}},
      {{.name = "lora_show_all", .type = kBoolean, .default_value = "false"}},
      {{.name = "lora_in_memory_limit", .type = kInteger, .default_value = "0", .min = 0}},
      {{.name = "lora_functional", .type = kBoolean, .default_value = "false"}},
      {{.name = "extra_networks_default_multiplier", .type = kNumber, .default_value = "1.0", .min = -10, .max = 10}},
      {{.name = "add_model_hash_to_info", .type = kBoolean, .default_value = "true"}},
      {{.name = "add_model_name_to_info", .type = kBoolean, .default_value = "true"}},
      {{.name = "add_version_to_infotext", .type = kBoolean, .default_value = "true"}},
      {{.name = "sd_checkpoints_limit", .type = kInteger, .default_value = "1", .min = 1}},
      {{.name = "sd_checkpoint_cache", .type = kInteger, .default_value = "0", .min = 0}},
      {field_parameter("upscaler_for_img2img")},
      {field_parameter("ESRGAN_tile")},
      {field_parameter("ESRGAN_tile_overlap")},
      {{.name = "api_enable_requests", .type = kBoolean, .default_value = "false", .help = "pictures are not downloaded from URLs"}, true},
      {{.name = "api_forbid_local_requests", .type = kBoolean, .default_value = "true"}, true},
      {{.name = "api_useragent", .type = kString, .default_value = "\"\""}, true},
      {{.name = "sd_unet", .type = kString, .default_value = "\"Automatic\""}},
      {field_parameter("token_merging_ratio")},
      {field_parameter("token_merging_ratio_hr")},
      {field_parameter("step_cache")},
      {field_parameter("precision")},
      {{.name = "fp8_storage", .type = kString, .default_value = "\"Disable\""}},
      {{.name = "cache_fp16_weight", .type = kBoolean, .default_value = "false"}},
  };
}
// clang-format on

}  // namespace

std::span<const OptionRow> option_table() {
  static const std::vector<OptionRow> options = make_options();
  return options;
}

const OptionRow* find_option(std::string_view name) {
  const auto options = option_table();
  const auto found =
      std::ranges::find(options, name, [](const OptionRow& row) { return row.parameter.name; });
  return found == options.end() ? nullptr : &*found;
}

}  // namespace lowrank::server
