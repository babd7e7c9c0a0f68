#include "server/fields/generation_parameters.h"

#include <array>
#include <vector>

namespace lowrank::server {
namespace {

using enum ParameterType;

// clang-format off
// In the order in which A1111 echoes them. Ranges are those of request/field_table.h where it has the field; here
// stand only the ones that the server needs before.
constexpr ParameterRow kCommon[] = {
    {.name = "prompt", .type = kString, .standard = "\"\"", .help = "what to draw; <lora:NAME:WEIGHT> adds a LoRA", .max_length = kMaxPromptBytes},
    {.name = "negative_prompt", .type = kString, .standard = "\"\"", .help = "what to keep out of the picture", .max_length = kMaxPromptBytes},
    {.name = "styles", .type = kStrings, .help = "names of prompt-styles"},
    {.name = "seed", .type = kInteger, .standard = "-1", .help = "-1: random", .min = -1},
    {.name = "subseed", .type = kInteger, .standard = "-1", .min = -1},
    {.name = "subseed_strength", .type = kNumber, .standard = "0", .min = 0, .max = 1},
    {.name = "seed_resize_from_h", .type = kInteger, .standard = "-1", .max = 4096},
    {.name = "seed_resize_from_w", .type = kInteger, .standard = "-1", .max = 4096},
    {.name = "sampler_name", .type = kString, .help = "null: sampler_index"},
    {.name = "scheduler", .type = kString, .help = "null: Automatic"},
    {.name = "batch_size", .type = kInteger, .standard = "1", .help = "pictures made together", .min = 1, .max = 64},
    {.name = "n_iter", .type = kInteger, .standard = "1", .help = "batches made one after the other", .min = 1, .max = 256},
    {.name = "steps", .type = kInteger, .standard = "50", .min = 1, .max = 1000},
    {.name = "cfg_scale", .type = kNumber, .standard = "7.0", .min = 0, .max = 100},
    {.name = "width", .type = kInteger, .standard = "512", .help = "pixels; rounded down to a multiple of 8", .min = 64, .max = 4096},
    {.name = "height", .type = kInteger, .standard = "512", .help = "pixels; rounded down to a multiple of 8", .min = 64, .max = 4096},
    {.name = "restore_faces", .type = kBoolean, .help = "there is no face restorer: noted and ignored"},
    {.name = "tiling", .type = kBoolean},
    {.name = "do_not_save_samples", .type = kBoolean, .standard = "false"},
    {.name = "do_not_save_grid", .type = kBoolean, .standard = "false"},
    {.name = "eta", .type = kNumber, .min = 0, .max = 10},
    {.name = "denoising_strength", .type = kNumber, .standard = "0.75", .min = 0, .max = 1},
    {.name = "s_min_uncond", .type = kNumber, .min = 0, .max = 15},
    {.name = "s_churn", .type = kNumber, .min = 0, .max = 100},
    {.name = "s_tmax", .type = kNumber, .help = "0: no limit", .min = 0, .max = 10000},
    {.name = "s_tmin", .type = kNumber, .min = 0, .max = 1000},
    {.name = "s_noise", .type = kNumber, .min = 0, .max = 10},
    {.name = "override_settings", .type = kObject, .help = "options for this request alone"},
    {.name = "override_settings_restore_afterwards", .type = kBoolean, .standard = "true"},
    {.name = "refiner_checkpoint", .type = kString},
    {.name = "refiner_switch_at", .type = kNumber, .min = 0, .max = 1},
    {.name = "disable_extra_networks", .type = kBoolean, .standard = "false"},
    {.name = "comments", .type = kObject},
};

constexpr ParameterRow kText[] = {
    {.name = "firstpass_image", .type = kPicture, .help = "taken as the first pass of hires fix", .needs = "enable_hr"},
    {.name = "enable_hr", .type = kBoolean, .standard = "false", .help = "hires fix"},
    {.name = "firstphase_width", .type = kInteger, .standard = "0", .min = 0, .max = 4096, .needs = "enable_hr"},
    {.name = "firstphase_height", .type = kInteger, .standard = "0", .min = 0, .max = 4096, .needs = "enable_hr"},
    {.name = "hr_scale", .type = kNumber, .standard = "2.0", .min = 1, .max = 4, .needs = "enable_hr"},
    {.name = "hr_upscaler", .type = kString, .help = "null: Latent", .needs = "enable_hr"},
    {.name = "hr_second_pass_steps", .type = kInteger, .standard = "0", .min = 0, .max = 1000, .needs = "enable_hr"},
    {.name = "hr_resize_x", .type = kInteger, .standard = "0", .min = 0, .max = 8192, .needs = "enable_hr"},
    {.name = "hr_resize_y", .type = kInteger, .standard = "0", .min = 0, .max = 8192, .needs = "enable_hr"},
    {.name = "hr_checkpoint_name", .type = kString, .needs = "enable_hr"},
    {.name = "hr_sampler_name", .type = kString, .needs = "enable_hr"},
    {.name = "hr_scheduler", .type = kString, .needs = "enable_hr"},
    {.name = "hr_prompt", .type = kString, .standard = "\"\"", .max_length = kMaxPromptBytes, .needs = "enable_hr"},
    {.name = "hr_negative_prompt", .type = kString, .standard = "\"\"", .max_length = kMaxPromptBytes, .needs = "enable_hr"},
};

constexpr ParameterRow kImage[] = {
    {.name = "init_images", .type = kPictures, .help = "required: one for all, or one per picture of a batch"},
    {.name = "resize_mode", .type = kInteger, .standard = "0", .help = "0 stretch, 1 crop, 2 fill, 3 latent", .min = 0, .max = 3},
    {.name = "image_cfg_scale", .type = kNumber},
    {.name = "mask", .type = kPicture, .help = "white: repaint"},
    {.name = "mask_blur_x", .type = kInteger, .standard = "4", .min = 0, .max = 64, .needs = "mask"},
    {.name = "mask_blur_y", .type = kInteger, .standard = "4", .min = 0, .max = 64, .needs = "mask"},
    {.name = "mask_blur", .type = kInteger, .help = "sets both of the two before", .min = 0, .max = 64, .needs = "mask"},
    {.name = "mask_round", .type = kBoolean, .standard = "true", .needs = "mask"},
    {.name = "inpainting_fill", .type = kInteger, .standard = "0", .help = "0 fill, 1 original, 2 latent noise, 3 latent nothing", .min = 0, .max = 3, .needs = "mask"},
    {.name = "inpaint_full_res", .type = kBoolean, .standard = "true", .needs = "mask"},
    {.name = "inpaint_full_res_padding", .type = kInteger, .standard = "0", .min = 0, .max = 1024, .needs = "mask"},
    {.name = "inpainting_mask_invert", .type = kInteger, .standard = "0", .min = 0, .max = 1, .needs = "mask"},
    {.name = "initial_noise_multiplier", .type = kNumber, .min = 0, .max = 1.5},
    {.name = "latent_mask", .type = kPicture},
    {.name = "include_init_images", .type = kBoolean, .standard = "false", .help = "echo them in parameters"},
};

constexpr ParameterRow kCommonEnd[] = {
    {.name = "force_task_id", .type = kString, .help = "id for /internal/progress", .max_length = 256},
    {.name = "sampler_index", .type = kString, .standard = "\"Euler\"", .help = "the old name of sampler_name"},
    {.name = "script_name", .type = kString, .help = "a script of /sdapi/v1/scripts"},
    {.name = "script_args", .type = kList, .standard = "[]", .help = "its arguments in the order of /sdapi/v1/script-info; those left out have their defaults"},
    {.name = "send_images", .type = kBoolean, .standard = "true"},
    {.name = "save_images", .type = kBoolean, .standard = "false", .help = "write them to the output folders too"},
    {.name = "alwayson_scripts", .type = kObject, .standard = "{}"},
    {.name = "infotext", .type = kString, .help = "fills fields that are not given", .max_length = kMaxPromptBytes},
    {.name = "lora", .type = kList, .help = "LowRank: [{name or path, weight or multiplier, te, unet}], like tags at the end of the prompt", .is_own = true},
    {.name = "clip_skip", .type = kInteger, .help = "LowRank: short for the option CLIP_stop_at_last_layers", .min = 1, .max = 12, .is_own = true},
    {.name = "allow_missing_loras", .type = kBoolean, .standard = "true", .help = "LowRank: false refuses a request whose LoRA is not there"},
};
// clang-format on

std::vector<ParameterRow> joined(std::initializer_list<ParameterRows> parts) {
  std::vector<ParameterRow> all;
  for (const auto& part : parts) all.insert(all.end(), part.begin(), part.end());
  return all;
}

}  // namespace

ParameterRows txt2img_parameters() {
  static const std::vector<ParameterRow> rows = [] {
    auto all = joined({kCommon, kText, kCommonEnd});
    for (ParameterRow& row : all)
      if (row.name == "denoising_strength")
        row.needs = "enable_hr";  // there is no other picture to go on from
    return all;
  }();
  return rows;
}

ParameterRows img2img_parameters() {
  static const std::vector<ParameterRow> rows = joined({kCommon, kImage, kCommonEnd});
  return rows;
}

}  // namespace lowrank::server
