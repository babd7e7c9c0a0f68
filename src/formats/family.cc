#include "formats/family.h"

#include <algorithm>

namespace lowrank::formats {
namespace {

constexpr TextEncoderRow kSd1Text[] = {{.component = Component::kTextEncoder,
                                        .root = "cond_stage_model.transformer.",
                                        .folder = "text_encoder",
                                        .kind = TextEncoderKind::kClip,
                                        .width = 768,
                                        .layer = TextLayer::kLast,
                                        .pads_with_zero = false,
                                        .gives_pooled = false,
                                        .kohya_prefix = "lora_te_"}};
constexpr TextEncoderRow kSd2Text[] = {{.component = Component::kTextEncoder,
                                        .root = "cond_stage_model.model.",
                                        .folder = "text_encoder",
                                        .kind = TextEncoderKind::kOpenClip,
                                        .width = 1024,
                                        .layer = TextLayer::kPenultimateNormed,
                                        .pads_with_zero = true,
                                        .gives_pooled = false,
                                        .kohya_prefix = "lora_te_"}};
constexpr TextEncoderRow kSdxlText[] = {{.component = Component::kTextEncoder,
                                         .root = "conditioner.embedders.0.transformer.",
                                         .folder = "text_encoder",
                                         .kind = TextEncoderKind::kClip,
                                         .width = 768,
                                         .layer = TextLayer::kPenultimate,
                                         .pads_with_zero = false,
                                         .gives_pooled = false,
                                         .kohya_prefix = "lora_te1_"},
                                        {.component = Component::kTextEncoder2,
                                         .root = "conditioner.embedders.1.model.",
                                         .folder = "text_encoder_2",
                                         .kind = TextEncoderKind::kOpenClip,
                                         .width = 1280,
                                         .layer = TextLayer::kPenultimate,
                                         .pads_with_zero = true,
                                         .gives_pooled = true,
                                         .kohya_prefix = "lora_te2_"}};
constexpr TextEncoderRow kRefinerText[] = {{.component = Component::kTextEncoder2,
                                            .root = "conditioner.embedders.0.model.",
                                            .folder = "text_encoder_2",
                                            .kind = TextEncoderKind::kOpenClip,
                                            .width = 1280,
                                            .layer = TextLayer::kPenultimate,
                                            .pads_with_zero = true,
                                            .gives_pooled = true,
                                            .kohya_prefix = "lora_te2_"}};

// Source: the fits published by Keturn and others in the Hugging Face forum (2022, 2023), which A1111 uses as its "Approx
// cheap" preview.
constexpr LatentColours kColours = {{{0.298f, 0.207f, 0.208f},
                                     {0.187f, 0.286f, 0.173f},
                                     {-0.158f, 0.189f, 0.264f},
                                     {-0.184f, -0.271f, -0.473f}}};
constexpr LatentColours kXlColours = {{{0.3448f, 0.4168f, 0.4395f},
                                       {-0.1953f, -0.0290f, 0.0250f},
                                       {0.1074f, 0.0886f, -0.0163f},
                                       {-0.3730f, -0.2499f, -0.2088f}}};

// Source: the configuration files of the models' publishers (CompVis, Stability AI).
constexpr FamilyRow kFamilies[] = {
    {.model = BaseModel::kSd1,
     .name = "SD 1.x",
     .label = "SD1",
     .article = "an",
     .mark = "cond_stage_model.transformer.",
     .text_encoders = kSd1Text,
     .context_width = 768,
     .unet = {.levels = 4, .first_attention = 0, .last_attention = 2, .transformer_blocks = 1},
     .unet_heads = {.count = 8},
     .latent_channels = 4,
     .latent_scale = 0.18215,
     .prediction = PredictionType::kEpsilon,
     .is_prediction_open = false,
     .native_size = 512,
     .size_conditioning = SizeConditioning::kNone,
     .kohya_version = {"sd_v1", "sd_v1", "sd_v1_v"},
     .modelspec = {"stable-diffusion-v1", "stable-diffusion-v1", "stable-diffusion-v1"},
     .is_kohya_v2 = false,
     .kohya_unet = KohyaUnetNames::kDiffusers,
     .colours = kColours},
    {.model = BaseModel::kSd2,
     .name = "SD 2.x",
     .label = "SD2",
     .article = "an",
     .mark = "cond_stage_model.model.",
     .text_encoders = kSd2Text,
     .context_width = 1024,
     .unet = {.levels = 4, .first_attention = 0, .last_attention = 2, .transformer_blocks = 1},
     .unet_heads = {.width = 64},
     .latent_channels = 4,
     .latent_scale = 0.18215,
     .prediction = PredictionType::kV,
     .is_prediction_open = true,
     .native_size = 768,
     .epsilon_size = 512,
     .size_conditioning = SizeConditioning::kNone,
     .kohya_version = {"sd_v2", "sd_v2", "sd_v2_v"},
     .modelspec = {"stable-diffusion-v2", "stable-diffusion-v2-512", "stable-diffusion-v2-768-v"},
     .is_kohya_v2 = true,
     .kohya_unet = KohyaUnetNames::kDiffusers,
     .colours = kColours},
    {.model = BaseModel::kSdxl,
     .name = "SDXL",
     .label = "SDXL",
     .article = "an",
     .mark = "conditioner.embedders.1.",
     .text_encoders = kSdxlText,
     .context_width = 2048,
     .unet = {.levels = 3, .first_attention = 1, .last_attention = 2, .transformer_blocks = 10},
     .unet_heads = {.width = 64},
     .latent_channels = 4,
     .latent_scale = 0.13025,
     .prediction = PredictionType::kEpsilon,
     .is_prediction_open = false,
     .native_size = 1024,
     .size_conditioning = SizeConditioning::kTarget,
     .kohya_version = {"sdxl_", "sdxl_base_v1-0", "sdxl_base_v1-0"},
     .modelspec = {"stable-diffusion-xl", "stable-diffusion-xl-v1-base", "stable-diffusion-xl-v1-base"},
     .is_kohya_v2 = false,
     .kohya_unet = KohyaUnetNames::kCheckpoint,
     .colours = kXlColours},
    {.model = BaseModel::kSdxlRefiner,
     .name = "SDXL refiner",
     .label = "SDXL-Refiner",
     .article = "an",
     .mark = "conditioner.embedders.0.model.",
     .text_encoders = kRefinerText,
     .context_width = 1280,
     .unet = {.levels = 4, .first_attention = 1, .last_attention = 2, .transformer_blocks = 4},
     .unet_heads = {.width = 64},
     .latent_channels = 4,
     .latent_scale = 0.13025,
     .prediction = PredictionType::kEpsilon,
     .is_prediction_open = false,
     .native_size = 1024,
     .size_conditioning = SizeConditioning::kAesthetic,
     .kohya_version = {"sdxl_refiner", "sdxl_refiner_v1-0", "sdxl_refiner_v1-0"},
     .modelspec = {"stable-diffusion-xl-v1-refiner", "stable-diffusion-xl-v1-refiner",
                   "stable-diffusion-xl-v1-refiner"},
     .is_kohya_v2 = false,
     .kohya_unet = KohyaUnetNames::kCheckpoint,
     .colours = kXlColours},
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

const TextEncoderRow* text_encoder(const FamilyRow& family, Component component) {
  const auto found = std::ranges::find(family.text_encoders, component, &TextEncoderRow::component);
  return found == family.text_encoders.end() ? nullptr : &*found;
}

const FamilyRow* family_by_trainer(TrainerNames FamilyRow::*member, std::string_view text) {
  const FamilyRow* best = nullptr;
  for (const FamilyRow& row : kFamilies) {
    const std::string_view begins = (row.*member).begins;
    if (text.starts_with(begins) && (best == nullptr || begins.size() > (best->*member).begins.size()))
      best = &row;
  }
  return best;
}

const FamilyRow* family_labelled(std::string_view label) {
  return first_family([&](const FamilyRow& row) { return row.label == label; });
}

}  // namespace lowrank::formats
