// JSON of A1111's API, kept as a file: what was sent (a body of txt2img or img2img), or what came back.
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cstddef>

#include "base/text/text.h"
#include "prompt/generators/flat_json.h"
#include "prompt/generators/readers.h"

namespace lowrank::prompt {
namespace {

// Fields and options of a body that an infotext has, in its order.
constexpr KeyMeaning kFields[] = {
    {"steps", "Steps"},
    {"cfg_scale", "CFG scale"},
    {"seed", "Seed"},
    {"sd_vae", "VAE"},
    {"sd_vae_encode_method", "VAE Encoder"},
    {"sd_vae_decode_method", "VAE Decoder"},
    {"subseed", "Variation seed"},
    {"subseed_strength", "Variation seed strength"},
    {"seed_resize_from_w", "Seed resize from-1"},
    {"seed_resize_from_h", "Seed resize from-2"},
    {"denoising_strength", "Denoising strength"},
    {"CLIP_stop_at_last_layers", "Clip skip"},
    {"sdxl_clip_l_skip", "SDXL CLIP-L skip"},
    {"sdxl_crop_top", "SDXL crop top"},
    {"sdxl_crop_left", "SDXL crop left"},
    {"sdxl_refiner_low_aesthetic_score", "SDXL low aesthetic score"},
    {"sdxl_refiner_high_aesthetic_score", "SDXL high aesthetic score"},
    {"eta_noise_seed_delta", "ENSD"},
    {"randn_source", "RNG"},
    {"s_min_uncond", "NGMS"},
    {"s_min_uncond_all", "NGMS all steps"},
    {"emphasis", "Emphasis"},
    {"always_discard_next_to_last_sigma", "Discard penultimate sigma"},
    {"sigma_min", "Schedule min sigma"},
    {"sigma_max", "Schedule max sigma"},
    {"rho", "Schedule rho"},
    {"beta_dist_alpha", "Beta schedule alpha"},
    {"beta_dist_beta", "Beta schedule beta"},
    {"sgm_noise_multiplier", "SGM noise multiplier"},
    {"eta", "Eta"},
    {"eta_ddim", "Eta DDIM"},
    {"s_churn", "Sigma churn"},
    {"s_tmin", "Sigma tmin"},
    {"s_tmax", "Sigma tmax"},
    {"s_noise", "Sigma noise"},
    {"skip_early_cond", "Skip Early CFG"},
    {"sd_noise_schedule", "Noise Schedule"},
    {"prediction_type", "Prediction type"},
    {"flow_shift", "Shift"},
    {"use_downcasted_alpha_bar", "Downcast alphas_cumprod"},
    {"pad_cond_uncond", "Pad conds"},
    {"use_old_scheduling", "Old prompt editing timelines"},
    {"token_merging_ratio", "Token merging ratio"},
    {"token_merging_ratio_hr", "Token merging ratio hr"},
    {"step_cache", "Step cache"},
    {"precision", "Precision"},
    {"tiling", "Tiling"},
    {"refiner_checkpoint", "Refiner"},
    {"refiner_switch_at", "Refiner switch at"},
    {"refiner_switch_by_sample_steps", "Refiner switch by sampling steps"},
    {"hires_fix_refiner_pass", "Hires refiner"},
    {"resize_mode", "Resize mode"},
    {"upscaler_for_img2img", "Img2img upscaler"},
    {"img2img_fix_steps", "Img2img fix steps"},
    {"img2img_color_correction", "Color correction"},
    {"initial_noise_multiplier", "Noise multiplier"},
    {"img2img_extra_noise", "Extra noise"},
    {"mask_blur", "Mask blur"},
    {"mask_blur_x", "Mask blur-1"},
    {"mask_blur_y", "Mask blur-2"},
    {"mask_round", "Mask edge"},
    {"inpainting_mask_invert", "Mask mode"},
    {"inpainting_fill", "Masked content"},
    {"inpaint_full_res", "Inpaint area"},
    {"inpaint_full_res_padding", "Masked area padding"},
    {"inpainting_mask_weight", "Conditional mask weight"},
    {"comma_padding_backtrack", "Prompt word wrap length limit"},
};
// Of hires fix, which count when `enable_hr` is there. A1111's API enlarges twice by Latent when these are not said.
struct HiresField {
  std::string_view key, label, default_value = {};
};
constexpr HiresField kHires[] = {
    {"hr_upscaler", "Hires upscaler", "Latent"},     {"hr_second_pass_steps", "Hires steps"},
    {"hr_checkpoint_name", "Hires checkpoint"},      {"hr_sampler_name", "Hires sampler"},
    {"hr_scheduler", "Hires schedule type"},         {"hr_prompt", "Hires prompt"},
    {"hr_negative_prompt", "Hires negative prompt"},
};
// Read below, or of no bearing on a picture made here.
constexpr std::string_view kOther[] = {
    "prompt",
    "negative_prompt",
    "width",
    "height",
    "sampler_name",
    "sampler_index",
    "scheduler",
    "clip_skip",
    "enable_hr",
    "hr_scale",
    "hr_resize_x",
    "hr_resize_y",
    "batch_size",
    "n_iter",
    "styles",
    "init_images",
    "mask",
    "override_settings",
    "script_name",
    "script_args",
    "send_images",
    "save_images",
    "force_task_id",
    "alwayson_scripts",
    "sd_model_name",
    "sd_model_hash",
    "include_init_images",
    "do_not_save_samples",
    "sd_model_checkpoint",
    "do_not_save_grid",
    "override_settings_restore_afterwards",
};

// As text_field(), also for true and false.
std::string value_of(const Json& object, std::string_view key) {
  const auto found = object.find(key);
  if (found != object.end() && found->is_boolean()) return found->get<bool>() ? "True" : "False";
  return text_field(object, key);
}

bool says_nothing(const Json& value) {
  return value.is_null() || value == false || value == "" || value == "None" ||
         (value.is_structured() && value.empty());
}

std::string list_text(const Json& value) {
  std::string list;
  if (value.is_array())
    for (const Json& item : value)
      if (item.is_string()) list += (list.empty() ? "" : ", ") + item.get<std::string>();
  return value.is_string() ? value.get<std::string>() : list;
}

class BodyReader {
 public:
  BodyReader(const Json& body, Draft& draft) : body_(body), draft_(draft) {
    const auto overrides = body.find("override_settings");
    overrides_ = overrides != body.end() && overrides->is_object() ? *overrides : Json::object();
  }

  void read() {
    draft_.prompt(text_field(body_, "prompt"));
    draft_.negative(text_field(body_, "negative_prompt"));
    const std::string sampler = text_field(body_, "sampler_name");
    draft_.sampler(sampler.empty() ? text_field(body_, "sampler_index") : sampler, value("scheduler"));
    const bool is_img2img = is_there("init_images"), has_hires = value_of(body_, "enable_hr") == "True";
    const bool varies = parse_number(value("subseed_strength")).value_or(0) > 0;
    for (const KeyMeaning& field : kFields) {
      const bool is_of_img2img = field.label == "Denoising strength";
      const bool is_of_variation = field.key.starts_with("subseed");
      const bool is_of_resize = field.key.starts_with("seed_resize");
      const std::string said = value(field.key);
      if ((is_of_img2img && !is_img2img && !has_hires) || (is_of_variation && !varies) ||
          (is_of_resize && parse_number(said).value_or(0) <= 0))
        continue;
      draft_.entry(field.label, said);
    }
    draft_.entry("Clip skip", value("clip_skip"));
    draft_.size(text_field(body_, "width"), text_field(body_, "height"));
    if (has_hires) read_hires();
    read_model();
    note_the_rest(is_img2img);
  }

 private:
  // Of the body, or of the options that it sets for itself.
  std::string value(std::string_view key) const {
    const std::string own = value_of(body_, key);
    return own.empty() ? value_of(overrides_, key) : own;
  }
  bool is_there(std::string_view key) const {
    const auto found = body_.find(key);
    return found != body_.end() && !says_nothing(*found);
  }

  void read_hires() {
    for (const HiresField& field : kHires) {
      const std::string said = value(field.key);
      draft_.entry(field.label, said.empty() ? std::string(field.default_value) : said);
    }
    const std::string x = value("hr_resize_x"), y = value("hr_resize_y");
    const bool has_size = parse_number(x).value_or(0) > 0 || parse_number(y).value_or(0) > 0;
    if (has_size) {
      draft_.entry("Hires resize-1", x.empty() ? "0" : x);
      draft_.entry("Hires resize-2", y.empty() ? "0" : y);
    } else {
      draft_.entry("Hires upscale", value("hr_scale").empty() ? "2" : value("hr_scale"));
    }
  }

  // "sub/fox.safetensors [0123456789]"
  void read_model() {
    std::string title = value("sd_model_checkpoint");
    if (title.empty()) title = text_field(body_, "sd_model_name");
    draft_.model_hash(text_field(body_, "sd_model_hash"));
    if (const std::size_t bracket = title.rfind(" ["); bracket != std::string::npos && title.ends_with(']')) {
      draft_.model_hash(title.substr(bracket + 2, title.size() - bracket - 3));
      title.resize(bracket);
    }
    if (!title.empty()) draft_.model(title);
  }

  void note_the_rest(bool is_img2img) {
    if (is_img2img) draft_.note("the pictures inside it (init_images, mask) are not read.");
    if (is_there("styles"))
      draft_.note(fmt::format("it uses the styles {}, which are not read; add them with --style.",
                              list_text(body_["styles"]).substr(0, 200)));
    if (is_there("script_name"))
      draft_.note(
          fmt::format("its script '{}' is not run.", text_field(body_, "script_name").substr(0, 100)));
    if (is_there("alwayson_scripts") && body_["alwayson_scripts"].is_object()) {
      std::string names;
      for (const auto& [name, arguments] : body_["alwayson_scripts"].items())
        names += (names.empty() ? "" : ", ") + name.substr(0, 60);
      draft_.note(fmt::format("its scripts {} are not run.", names.substr(0, 200)));
    }
    for (const char* count : {"batch_size", "n_iter"})
      if (parse_number(value(count)).value_or(1) > 1)
        draft_.note(fmt::format("its {} of {} is not read.", count, value(count)));
    std::string unread;
    const auto add_unread = [&](const Json& object) {
      for (const auto& [key, said] : object.items())
        if (!is_known(key) && !says_nothing(said) && unread.size() < 200)
          unread += (unread.empty() ? "" : ", ") + key.substr(0, 60);
    };
    add_unread(body_);
    add_unread(overrides_);
    if (!unread.empty()) draft_.note(fmt::format("these fields are not read: {}.", unread));
  }

  static bool is_known(std::string_view key) {
    return std::ranges::find(kFields, key, &KeyMeaning::key) != std::end(kFields) ||
           std::ranges::find(kHires, key, &HiresField::key) != std::end(kHires) ||
           std::ranges::find(kOther, key) != std::end(kOther);
  }

  const Json& body_;
  Draft& draft_;
  Json overrides_;
};

// The first of the infotexts that an answer holds, or its `info` itself (png-info's); "" where it has none.
std::string infotext_of_answer(const Json& answer, std::size_t& count) {
  const auto list = answer.find("infotexts");
  if (list != answer.end() && list->is_array() && !list->empty() && list->front().is_string()) {
    count = list->size();
    return list->front().get<std::string>();
  }
  const std::string info = text_field(answer, "info");
  if (info.empty()) return "";
  const Json inside = json_object(info);
  if (inside.is_object() && inside.contains("infotexts")) return infotext_of_answer(inside, count);
  count = 1;
  return answer.contains("items") ? info : "";
}

}  // namespace

std::vector<std::pair<std::string_view, std::string_view>> a1111_api_labels() {
  std::vector<std::pair<std::string_view, std::string_view>> labels = {{"sampler_name", "Sampler"},
                                                                       {"scheduler", "Schedule type"},
                                                                       {"width", "Size-1"},
                                                                       {"height", "Size-2"},
                                                                       {"sd_model_checkpoint", "Model"},
                                                                       {"hr_scale", "Hires upscale"},
                                                                       {"hr_resize_x", "Hires resize-1"},
                                                                       {"hr_resize_y", "Hires resize-2"}};
  for (const KeyMeaning& field : kFields) labels.emplace_back(field.key, field.label);
  for (const HiresField& field : kHires) labels.emplace_back(field.key, field.label);
  return labels;
}

PictureReading read_a1111_api(const PictureTexts& picture) {
  const std::string* text = main_text(picture);
  const Json object = text == nullptr ? Json() : json_object(*text);
  if (!object.is_object()) return std::nullopt;
  std::size_t count = 0;
  if (const std::string infotext = infotext_of_answer(object, count); !infotext.empty()) {
    auto settings = read_a1111({.texts = {{"parameters", infotext}}});
    if (settings && count > 1)
      settings->notes.push_back(
          fmt::format("it is the response for {} pictures; the first one's settings are read.", count));
    return settings;
  }
  const auto prompt = object.find("prompt");
  if (prompt == object.end() || !prompt->is_string()) return std::nullopt;
  Draft draft("an A1111 API client");
  BodyReader(object, draft).read();
  return std::move(draft).finish();
}

}  // namespace lowrank::prompt
