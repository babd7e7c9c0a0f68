#include "formats/family.h"

#include <algorithm>

namespace lowrank::formats {
namespace {

constexpr TextEncoderRow kSd1Text[] = {
    {"cond_stage_model.transformer.text_model.", "text_encoder", TextEncoderKind::kClip, 768}};
constexpr TextEncoderRow kSd2Text[] = {
    {"cond_stage_model.model.", "text_encoder", TextEncoderKind::kOpenClip, 1024}};
constexpr TextEncoderRow kSdxlText[] = {
    {"conditioner.embedders.0.transformer.text_model.", "text_encoder", TextEncoderKind::kClip, 768},
    {"conditioner.embedders.1.model.", "text_encoder_2", TextEncoderKind::kOpenClip, 1280}};

// Source: the configuration files of the models' publishers (CompVis, Stability AI).
constexpr FamilyRow kFamilies[] = {
    {.model = BaseModel::kSd1,
     .name = "SD 1.x",
     .label = "SD1",
     .article = "an",
     .is_drawn = true,
     .mark = "cond_stage_model.transformer.",
     .text_encoders = kSd1Text,
     .context_width = 768,
     .has_deep_transformers = false,
     .unet_heads = 8,
     .unet_head_width = 0,
     .latent_channels = 4,
     .latent_scale = 0.18215,
     .prediction = PredictionType::kEpsilon,
     .native_size = 512,
     .has_size_conditioning = false,
     .kohya_version = "sd_v1",
     .modelspec = "stable-diffusion-v1"},
    {.model = BaseModel::kSd2,
     .name = "SD 2.x",
     .label = "SD2",
     .article = "an",
     .is_drawn = false,
     .mark = "cond_stage_model.model.",
     .text_encoders = kSd2Text,
     .context_width = 1024,
     .has_deep_transformers = false,
     .unet_heads = 0,
     .unet_head_width = 64,
     .latent_channels = 4,
     .latent_scale = 0.18215,
     .prediction = PredictionType::kV,
     .native_size = 768,
     .has_size_conditioning = false,
     .kohya_version = "sd_v2",
     .modelspec = "stable-diffusion-v2"},
    {.model = BaseModel::kSdxl,
     .name = "SDXL",
     .label = "SDXL",
     .article = "an",
     .is_drawn = false,
     .mark = "conditioner.embedders.",
     .text_encoders = kSdxlText,
     .context_width = 2048,
     .has_deep_transformers = true,
     .unet_heads = 0,
     .unet_head_width = 64,
     .latent_channels = 4,
     .latent_scale = 0.13025,
     .prediction = PredictionType::kEpsilon,
     .native_size = 1024,
     .has_size_conditioning = true,
     .kohya_version = "sdxl_",
     .modelspec = "stable-diffusion-xl"},
};

template <typename Predicate>
const FamilyRow* first_family(const Predicate& is_it) {
  const auto found = std::ranges::find_if(kFamilies, is_it);
  return found == std::end(kFamilies) ? nullptr : &*found;
}

}  // namespace

std::span<const FamilyRow> family_table() {
  return kFamilies;
}

const FamilyRow* family(BaseModel model) {
  return first_family([&](const FamilyRow& row) { return row.model == model; });
}

const FamilyRow* family_of_context(std::int64_t width) {
  return first_family([&](const FamilyRow& row) { return row.context_width == width; });
}

const FamilyRow* family_of_text(std::int64_t width) {
  return first_family([&](const FamilyRow& row) {
    return std::ranges::any_of(row.text_encoders,
                               [&](const TextEncoderRow& encoder) { return encoder.width == width; });
  });
}

const FamilyRow* family_labelled(std::string_view label) {
  return first_family([&](const FamilyRow& row) { return row.label == label; });
}

}  // namespace lowrank::formats
