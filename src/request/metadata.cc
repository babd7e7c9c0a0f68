#include "request/metadata.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <string_view>

#include "base/error.h"
#include "request/field_table.h"

namespace lowrank::request {
namespace {

// Writes fields of the request under the labels of the field table.
class Writer {
 public:
  explicit Writer(const GenerationRequest& request) : request_(request) {
    text_.prompt = request.prompt;
    text_.negative_prompt = request.negative_prompt;
  }

  void always(std::string_view api) {
    const FieldRow* row = field_by_api(api);
    LOWRANK_CHECK(row != nullptr && !row->infotext.empty());
    if (const auto value = field_text(request_, *row)) text_.set(row->infotext, *value);
  }
  void when(bool condition, std::initializer_list<std::string_view> fields) {
    if (!condition) return;
    for (const auto api : fields) always(api);
  }
  // Unless it has the value of a fresh request.
  void unless_default(std::string_view api) {
    const FieldRow* row = field_by_api(api);
    LOWRANK_CHECK(row != nullptr);
    static const GenerationRequest fresh;
    const auto number = [](const std::optional<std::string>& text) { return text.value_or(""); };
    const bool same =
        number(field_text(request_, *row)) == number(field_text(fresh, *row)) || is_default_number(*row);
    if (!same) always(api);
  }
  void text(std::string_view label, const std::string& value) {
    if (!value.empty()) text_.set(label, value);
  }
  std::string str() const { return prompt::write_infotext(text_); }

 private:
  // 0 and 0.0 are the same default.
  bool is_default_number(const FieldRow& row) const {
    static const GenerationRequest fresh;
    const auto* member = std::get_if<Decimal GenerationRequest::*>(&row.member);
    return member != nullptr && (request_.**member).value == (fresh.**member).value;
  }
  const GenerationRequest& request_;
  prompt::Infotext text_;
};

std::string hash_list(const std::vector<std::pair<std::string, std::string>>& hashes) {
  std::string list;
  for (const auto& [name, hash] : hashes) {
    std::string plain = name;
    std::erase_if(plain, [](char c) { return c == ':' || c == ','; });
    list += fmt::format("{}{}: {}", list.empty() ? "" : ", ", plain, hash);
  }
  return list;
}

// Entries that do not change the picture, or are read together with others.
bool is_silent(std::string_view label) {
  constexpr std::array<std::string_view, 34> kSilent = {"Model hash",
                                                        "VAE hash",
                                                        "Lora hashes",
                                                        "TI hashes",
                                                        "Version",
                                                        "User",
                                                        "Lora report",
                                                        "Lora not found",
                                                        "Size",
                                                        "Seed resize from",
                                                        "Lora",
                                                        "Time taken",
                                                        "Hires resize",
                                                        "Init image hash",
                                                        "Script",
                                                        "X Type",
                                                        "X Values",
                                                        "Fixed X Values",
                                                        "Y Type",
                                                        "Y Values",
                                                        "Fixed Y Values",
                                                        "Z Type",
                                                        "Z Values",
                                                        "Fixed Z Values",
                                                        "U-Net weights",
                                                        "Prediction rule",
                                                        "Hashes",
                                                        "Civitai resources",
                                                        "Civitai metadata",
                                                        "Created Date",
                                                        "Lora weights",
                                                        "Template",
                                                        "Negative Template",
                                                        "Used embeddings"};
  return label.starts_with("Postprocess") || std::ranges::find(kSilent, label) != kSilent.end();
}

std::string size_text(int width, int height) {
  return fmt::format("{}x{}", width, height);
}

void write_hires(Writer& w, const GenerationRequest& r) {
  w.when(!r.hr_checkpoint.empty(), {"hr_checkpoint_name"});
  w.when(!r.hr_sampler.empty(), {"hr_sampler_name"});
  w.when(r.hr_prompt != r.prompt, {"hr_prompt"});
  w.when(r.hr_negative_prompt != r.negative_prompt, {"hr_negative_prompt"});
  w.when(!r.hr_scheduler.empty(), {"hr_scheduler"});
  if (r.hr_resize_x == 0 && r.hr_resize_y == 0) {
    w.always("hr_scale");
  } else {
    w.text("Hires resize", size_text(r.hr_resize_x, r.hr_resize_y));
  }
  w.when(r.hr_second_pass_steps > 0, {"hr_second_pass_steps"});
  w.always("hr_upscaler");
}

// Resize mode, upscaler, fixed steps, colour correction and soft masks are entries of our own: the picture cannot be made again
// without.
void write_img2img(Writer& w, const PictureFacts& facts) {
  const GenerationRequest& r = facts.request;
  for (const auto api :
       {"resize_mode", "upscaler_for_img2img", "img2img_fix_steps", "img2img_color_correction"})
    w.unless_default(api);
  if (!facts.has_mask) return;
  w.when(r.inpainting_mask_invert != 0, {"inpainting_mask_invert"});
  const int x = r.mask_blur >= 0 ? r.mask_blur : r.mask_blur_x,
            y = r.mask_blur >= 0 ? r.mask_blur : r.mask_blur_y;
  if (x == y && x > 0) w.text(field_by_api("mask_blur")->infotext, fmt::format("{}", x));
  if (x != y) w.text("Mask blur", size_text(x, y));
  w.when(r.inpaint_full_res, {"inpaint_full_res", "inpaint_full_res_padding"});
  w.when(r.inpainting_fill != kFillOriginal, {"inpainting_fill"});
  w.unless_default("mask_round");
}

bool is_hires(const prompt::Infotext& infotext) {
  for (const auto label : {"Hires upscale", "Hires upscaler", "Hires resize-1"})
    if (infotext.find(label) != nullptr) return true;
  return false;
}

// What A1111 leaves out of an inpainted picture's text is not what a fresh request has.
void set_absent_of_img2img(GenerationRequest& request) {
  request.mask_blur = 0;
  request.inpainting_fill = kFillOriginal;
  request.inpaint_full_res = false;
}

}  // namespace

std::string picture_metadata(const PictureFacts& facts) {
  const GenerationRequest& r = facts.request;
  Writer w(r);
  w.always("steps");
  w.always("sampler_name");
  w.always("scheduler");
  w.always("cfg_scale");
  w.always("seed");
  w.text("Size", fmt::format("{}x{}", r.width, r.height));
  w.text("Model hash", facts.model_hash);
  w.always("sd_model_checkpoint");
  w.text("VAE hash", facts.vae_hash);
  w.when(facts.has_vae_file, {"sd_vae"});
  if (facts.encodes_pictures) w.unless_default("sd_vae_encode_method");
  w.unless_default("sd_vae_decode_method");
  w.when(r.subseed_strength.value != 0, {"subseed", "subseed_strength"});
  if (r.seed_resize_width > 0 && r.seed_resize_height > 0)
    w.text("Seed resize from", fmt::format("{}x{}", r.seed_resize_width, r.seed_resize_height));
  w.when(r.enable_hr || r.is_img2img(), {"denoising_strength"});
  w.when(facts.is_inpainting_model, {"inpainting_mask_weight"});
  w.when(r.clip_skip > 1, {"CLIP_stop_at_last_layers"});
  if (facts.is_told_size)
    for (const auto api : {"sdxl_clip_l_skip", "sdxl_crop_top", "sdxl_crop_left"}) w.unless_default(api);
  if (facts.is_told_score)
    for (const auto api : {"sdxl_refiner_low_aesthetic_score", "sdxl_refiner_high_aesthetic_score"})
      w.unless_default(api);
  w.when(r.ensd != 0 && facts.uses_ensd, {"eta_noise_seed_delta"});
  w.text("Init image hash", facts.init_hash);
  w.when(r.rng != "GPU", {"randn_source"});
  w.when(r.tiling, {"tiling"});
  if (r.enable_hr) write_hires(w, r);
  if (r.is_img2img()) write_img2img(w, facts);
  w.when(facts.skipped_by_sigma, {"s_min_uncond"});
  w.when(facts.skipped_by_sigma && r.ngms_all_steps, {"s_min_uncond_all"});
  w.text("Lora hashes", hash_list(facts.lora_hashes));
  w.text("TI hashes", hash_list(facts.embedding_hashes));
  w.when(facts.uses_emphasis && r.emphasis != "Original", {"emphasis"});
  w.when(r.discard_penultimate_sigma, {"always_discard_next_to_last_sigma"});
  for (const auto api : {"sigma_min", "sigma_max", "rho", "beta_dist_alpha", "beta_dist_beta"})
    w.unless_default(api);
  w.when(r.sgm_noise_multiplier, {"sgm_noise_multiplier"});
  if (facts.uses_eta && facts.default_eta == 0) {
    const Decimal eta = r.eta.value_or(r.eta_ddim);
    if (eta.value != 0) w.text(field_by_api("eta_ddim")->infotext, eta.text());
  } else if (facts.uses_eta) {
    w.when(r.eta && r.eta->value != facts.default_eta, {"eta"});
  }
  if (facts.uses_churn)
    for (const auto api : {"s_churn", "s_tmin", "s_tmax"}) w.unless_default(api);
  if (facts.uses_noise_scale) w.unless_default("s_noise");
  w.when(facts.skipped_early, {"skip_early_cond"});
  w.when(r.noise_schedule != "Default", {"sd_noise_schedule"});
  w.unless_default("prediction_type");
  w.text("Prediction rule", facts.prediction_rule);
  w.unless_default("flow_shift");
  w.when(r.downcast_alphas, {"use_downcasted_alpha_bar"});
  w.when(facts.padded, {"pad_cond_uncond"});
  w.when(r.old_prompt_editing, {"use_old_scheduling"});
  w.unless_default("token_merging_ratio");
  if (r.enable_hr) w.unless_default("token_merging_ratio_hr");
  w.unless_default("step_cache");
  w.unless_default("precision");
  w.text("U-Net weights", facts.int8 ? "int8" : "");
  w.unless_default("comma_padding_backtrack");
  if (r.is_img2img()) w.unless_default("initial_noise_multiplier");
  if (r.enable_hr || r.is_img2img()) w.unless_default("img2img_extra_noise");
  w.when(facts.refined && r.refiner_switch_by_steps, {"refiner_switch_by_sample_steps"});
  w.when(facts.refined && r.enable_hr && r.hires_refiner_pass != "second pass", {"hires_fix_refiner_pass"});
  w.when(facts.refined, {"refiner_checkpoint", "refiner_switch_at"});
  w.text("Lora not found", fmt::format("{}", fmt::join(facts.loras_not_found, ", ")));
  w.text("Lora report", fmt::format("{}", fmt::join(facts.lora_reports, "; ")));
  w.text("Version", facts.version);
  return w.str();
}

bool is_img2img(const prompt::Infotext& infotext) {
  return infotext.find("Denoising strength") != nullptr && !is_hires(infotext);
}

std::vector<std::string> apply_metadata(GenerationRequest& request, const prompt::Infotext& infotext) {
  std::vector<std::string> unknown;
  request.prompt = infotext.prompt;
  request.negative_prompt = infotext.negative_prompt;
  if (is_img2img(infotext)) set_absent_of_img2img(request);
  for (const auto& [label, value] : infotext.entries) {
    if (const FieldRow* row = field_by_infotext(label)) {
      set_field(request, *row, value, label);
    } else if (!is_silent(label)) {
      unknown.push_back(label);
    }
  }
  request.enable_hr = is_hires(infotext);
  if (infotext.find("Mask blur-1") != nullptr) request.mask_blur = -1;
  // A picture of ours without a VAE entry was made with the checkpoint's own, whatever "Automatic" would find
  // today.
  if (prompt::is_of_lowrank(infotext) && infotext.find("VAE") == nullptr) request.vae = "None";
  // What was missing then may be missing again.
  if (infotext.find("Lora not found") != nullptr) request.allow_missing_loras = true;
  return unknown;
}

}  // namespace lowrank::request
