#include "server/fields/generation_parameters.h"

#include <initializer_list>
#include <vector>

#include "request/field_table.h"
#include "server/fields/field_parameter.h"

namespace lowrank::server {
namespace {

using enum ParameterType;

// A1111's sliders begin at 64; the API's default is 512, not the checkpoint's own size.
ParameterRow of_size(std::string_view api) {
  ParameterRow row = with_default(field_parameter(api), "512");
  row.help = "pixels; rounded down to a multiple of 8";
  row.min = request::field_by_api(api)->traits.form.min;
  return row;
}

// pydantic takes any whole number; one that is too large is refused with the field's own sentence.
ParameterRow of_seed(std::string_view api) {
  ParameterRow row = field_parameter(api);
  row.max = 1e300;
  return row;
}

ParameterRow clip_skip() {
  ParameterRow row = optional(field_parameter("CLIP_stop_at_last_layers"),
                              "LowRank: short for the option CLIP_stop_at_last_layers");
  row.name = "clip_skip";
  row.is_own = true;
  return row;
}

// clang-format off
// In the order in which A1111 echoes them, with A1111's defaults where the API has others than the field.
std::vector<ParameterRow> common() {
  return {
      field_parameter("prompt"),
      field_parameter("negative_prompt"),
      field_parameter("styles"),
      of_seed("seed"),
      of_seed("subseed"),
      with_default(field_parameter("subseed_strength"), "0"),
      with_default(field_parameter("seed_resize_from_h"), "-1"),
      with_default(field_parameter("seed_resize_from_w"), "-1"),
      optional(field_parameter("sampler_name"), "null: sampler_index"),
      optional(field_parameter("scheduler"), "null: Automatic"),
      field_parameter("batch_size"),
      field_parameter("n_iter"),
      with_default(field_parameter("steps"), "50"),
      field_parameter("cfg_scale"),
      of_size("width"),
      of_size("height"),
      {.name = "restore_faces", .type = kBoolean, .help = "face restoration is not supported: accepted but ignored"},
      optional(field_parameter("tiling")),
      {.name = "do_not_save_samples", .type = kBoolean, .default_value = "false"},
      {.name = "do_not_save_grid", .type = kBoolean, .default_value = "false"},
      optional(field_parameter("eta")),
      field_parameter("denoising_strength"),
      optional(field_parameter("s_min_uncond")),
      optional(field_parameter("s_churn")),
      optional(field_parameter("s_tmax")),
      optional(field_parameter("s_tmin")),
      optional(field_parameter("s_noise")),
      {.name = "override_settings", .type = kObject, .help = "options for this request only"},
      {.name = "override_settings_restore_afterwards", .type = kBoolean, .default_value = "true"},
      optional(field_parameter("refiner_checkpoint")),
      optional(field_parameter("refiner_switch_at")),
      field_parameter("disable_extra_networks"),
      {.name = "comments", .type = kObject},
  };
}

std::vector<ParameterRow> of_txt2img() {
  return {
      {.name = "firstpass_image", .type = kPicture, .help = "interpreted as the first pass of hires fix", .needs = "enable_hr"},
      field_parameter("enable_hr"),
      needing("enable_hr", field_parameter("firstphase_width")),
      needing("enable_hr", field_parameter("firstphase_height")),
      needing("enable_hr", field_parameter("hr_scale")),
      needing("enable_hr", optional(field_parameter("hr_upscaler"), "null: Latent")),
      needing("enable_hr", field_parameter("hr_second_pass_steps")),
      needing("enable_hr", field_parameter("hr_resize_x")),
      needing("enable_hr", field_parameter("hr_resize_y")),
      needing("enable_hr", optional(field_parameter("hr_checkpoint_name"))),
      needing("enable_hr", optional(field_parameter("hr_sampler_name"))),
      needing("enable_hr", optional(field_parameter("hr_scheduler"))),
      needing("enable_hr", field_parameter("hr_prompt")),
      needing("enable_hr", field_parameter("hr_negative_prompt")),
  };
}

std::vector<ParameterRow> of_img2img() {
  return {
      {.name = "init_images", .type = kPictures, .help = "required: one for the whole batch, or one per picture"},
      field_parameter("resize_mode"),
      {.name = "image_cfg_scale", .type = kNumber},
      {.name = "mask", .type = kPicture, .help = "white: repaint"},
      needing("mask", field_parameter("mask_blur_x")),
      needing("mask", field_parameter("mask_blur_y")),
      needing("mask", optional(field_parameter("mask_blur"))),
      needing("mask", field_parameter("mask_round")),
      needing("mask", field_parameter("inpainting_fill")),
      needing("mask", field_parameter("inpaint_full_res")),
      needing("mask", field_parameter("inpaint_full_res_padding")),
      needing("mask", field_parameter("inpainting_mask_invert")),
      optional(field_parameter("initial_noise_multiplier")),
      {.name = "latent_mask", .type = kPicture},
      {.name = "include_init_images", .type = kBoolean, .default_value = "false", .help = "return them in parameters"},
  };
}

std::vector<ParameterRow> common_end() {
  return {
      {.name = "force_task_id", .type = kString, .help = "id for /internal/progress", .max_length = 256},
      {.name = "sampler_index", .type = kString, .default_value = "\"Euler\"", .help = "older name of sampler_name"},
      {.name = "script_name", .type = kString, .help = "a script listed by /sdapi/v1/scripts"},
      {.name = "script_args", .type = kList, .default_value = "[]", .help = "its arguments in the order of /sdapi/v1/script-info; omitted ones have their defaults"},
      {.name = "send_images", .type = kBoolean, .default_value = "true"},
      {.name = "save_images", .type = kBoolean, .default_value = "false", .help = "also save the pictures to the output folders"},
      {.name = "alwayson_scripts", .type = kObject, .default_value = "{}"},
      {.name = "infotext", .type = kString, .help = "fills fields that are not set", .max_length = kMaxPromptBytes},
      {.name = "lora", .type = kList, .help = "LowRank: [{name or path, weight or multiplier, te, unet}], like tags at the end of the prompt", .is_own = true},
      clip_skip(),
      with_default(field_parameter("allow_missing_loras"), "true"),
  };
}
// clang-format on

std::vector<ParameterRow> joined(std::initializer_list<std::vector<ParameterRow>> parts) {
  std::vector<ParameterRow> all;
  for (const auto& part : parts) all.insert(all.end(), part.begin(), part.end());
  return all;
}

}  // namespace

ParameterRows txt2img_parameters() {
  static const std::vector<ParameterRow> rows = [] {
    auto all = joined({common(), of_txt2img(), common_end()});
    for (ParameterRow& row : all)
      if (row.name == "denoising_strength")
        row.needs = "enable_hr";  // there is no other picture to go on from
    return all;
  }();
  return rows;
}

ParameterRows img2img_parameters() {
  static const std::vector<ParameterRow> rows = joined({common(), of_img2img(), common_end()});
  return rows;
}

}  // namespace lowrank::server
