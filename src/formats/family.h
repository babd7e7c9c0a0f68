// The families of Stable Diffusion models as data: what a checkpoint of each holds and how it is run. Adding one is a row
// in family.cc. Head counts and prediction may also be stated by the file itself (checkpoint.h), which then wins.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <string_view>

#include "formats/layer_address.h"
#include "formats/prediction.h"

namespace lowrank::formats {

enum class BaseModel { kSd1, kSd2, kSdxl, kSdxlRefiner, kOther };

// How a text encoder's tensors are named and run.
enum class TextEncoderKind {
  kClip,      // transformers' names, quick GELU
  kOpenClip,  // open_clip's names with one matrix for query, key and value; GELU
};

// What the U-Net reads of a text encoder.
enum class TextLayer {
  kLast,               // the last layer, or with CLIP skip an earlier one, through the final norm
  kPenultimateNormed,  // the last but one, through the final norm
  kPenultimate,        // the last but one as it is
};

struct TextEncoderRow {
  Component component;
  std::string_view root;    // in a single file
  std::string_view folder;  // of a diffusers folder
  TextEncoderKind kind;
  std::int64_t width;
  TextLayer layer;
  bool pads_with_zero;            // what follows the end of a text: id 0; else the end's own id
  bool gives_pooled;              // one vector for the whole text, from the last layer
  std::string_view kohya_prefix;  // of its modules in kohya's LoRA files
};

// The attention heads of a U-Net: as many in every layer, or as wide. Shapes do not tell.
struct AttentionHeads {
  std::int64_t count = 0;  // 0: the width is fixed
  std::int64_t width = 0;  // 0: the count is fixed
  // In a layer `inner` wide; 0 when they do not divide it.
  std::int64_t in(std::int64_t inner) const {
    const std::int64_t heads = count > 0 ? count : width > 0 ? inner / width : 0;
    return heads > 0 && inner % heads == 0 && (count > 0 || heads * width == inner) ? heads : 0;
  }
};

// The numbers that the U-Net is told of the picture, each as a vector behind the pooled text.
enum class SizeConditioning {
  kNone,
  kTarget,     // original height and width, crop's top and left, target height and width
  kAesthetic,  // original height and width, crop's top and left, aesthetic score
};

constexpr std::int64_t kSizeNumberWidth = 256;  // of one number's vector
constexpr std::int64_t size_numbers(SizeConditioning kind) {
  return kind == SizeConditioning::kTarget ? 6 : kind == SizeConditioning::kAesthetic ? 5 : 0;
}

// How kohya's LoRA files name the U-Net's layers.
enum class KohyaUnetNames { kDiffusers, kCheckpoint };

// The U-Net of the published models: its levels, those with attention, and how many transformer blocks its deepest attention has.
struct UnetShape {
  int levels, first_attention, last_attention, transformer_blocks;
};

// What training programs call the family: how the name begins, and the whole names that are written of each prediction.
struct TrainerNames {
  std::string_view begins, of_epsilon, of_v;
  std::string_view of(PredictionType prediction) const {
    return prediction == PredictionType::kV ? of_v : of_epsilon;
  }
};

// Red, green and blue of a cheap preview as weights of the latent's channels.
using LatentColours = std::array<std::array<float, 3>, 4>;

struct FamilyRow {
  BaseModel model;
  std::string_view name;                          // as people write it: "SD 1.x"
  std::string_view label;                         // in lists and filters: "SD1"
  std::string_view article;                       // of the name in a sentence: "an"
  std::string_view mark;                          // how names of a single file begin in this family alone
  std::span<const TextEncoderRow> text_encoders;  // in order; their outputs lie side by side
  std::int64_t context_width;                     // input of cross-attention
  UnetShape unet;
  AttentionHeads unet_heads;
  std::int64_t latent_channels;
  double latent_scale;  // decode(latent / scale)
  PredictionType prediction;
  // Published with both predictions: where a file says nothing, its weights and a trial run tell.
  bool is_prediction_open;
  int native_size;       // pixels
  int epsilon_size = 0;  // of the family's files with epsilon prediction, where these learned another size
  SizeConditioning size_conditioning;
  TrainerNames kohya_version, modelspec;  // in ss_base_model_version and modelspec.architecture
  bool is_kohya_v2;                       // ss_v2
  KohyaUnetNames kohya_unet;
  const LatentColours& colours;
};

std::span<const FamilyRow> family_table();

// The row of a family; kOther has none: nullptr.
const FamilyRow* family(BaseModel model);
// The first family with that width of cross-attention, or with a text encoder of that width; nullptr: none.
const FamilyRow* family_of_context(std::int64_t width);
const FamilyRow* family_of_text(std::int64_t width);
// The one whose name, as training programs write it in `member` of the row, is the longest that `text` begins with; nullptr: none.
const FamilyRow* family_by_trainer(TrainerNames FamilyRow::*member, std::string_view text);
// By its label; nullptr: none.
const FamilyRow* family_labelled(std::string_view label);
// The row of the encoder that is this component; nullptr: the family has none.
const TextEncoderRow* text_encoder(const FamilyRow& family, Component component);

// The noise that all of them learn with: β from linspace(√first, √last, steps)².
struct NoiseLaw {
  double first_beta = 0.00085, last_beta = 0.012;
  int steps = 1000;
};
inline constexpr NoiseLaw kNoiseLaw = {};

}  // namespace lowrank::formats
