// The families of Stable Diffusion models as data: what a checkpoint of each holds and how it is run. Adding one is a row
// in family.cc. Head counts and prediction may also be stated by the file itself (checkpoint.h), which then wins.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>

#include "formats/prediction.h"

namespace lowrank::formats {

enum class BaseModel { kSd1, kSd2, kSdxl, kOther };

// How a text encoder's tensors are named and run.
enum class TextEncoderKind {
  kClip,      // transformers' names, quick GELU
  kOpenClip,  // open_clip's names with one matrix for query, key and value; GELU
};

struct TextEncoderRow {
  std::string_view root;    // in a single file
  std::string_view folder;  // of a diffusers folder
  TextEncoderKind kind;
  std::int64_t width;
};

struct FamilyRow {
  BaseModel model;
  std::string_view name;                          // as people write it: "SD 1.x"
  std::string_view label;                         // in lists and filters: "SD1"
  std::string_view article;                       // of the name in a sentence: "an"
  bool is_drawn;                                  // LowRank runs checkpoints of this family
  std::string_view mark;                          // how names of a single file begin in this family alone
  std::span<const TextEncoderRow> text_encoders;  // in order
  std::int64_t context_width;                     // input of cross-attention
  bool has_deep_transformers;                     // several blocks in one attention
  int unet_heads;                                 // of every layer; 0: the width of a head is fixed instead
  int unet_head_width;                            // 0: the number of heads is fixed
  std::int64_t latent_channels;
  double latent_scale;  // decode(latent / scale)
  PredictionType prediction;
  int native_size;             // pixels
  bool has_size_conditioning;  // original size and crop are inputs of the U-Net
  // What training programs write: kohya's ss_base_model_version and modelspec.architecture begin so.
  std::string_view kohya_version, modelspec;
};

std::span<const FamilyRow> family_table();

// The row of a family; kOther has none: nullptr.
const FamilyRow* family(BaseModel model);
// The first family with that width of cross-attention, or with a text encoder of that width; nullptr: none.
const FamilyRow* family_of_context(std::int64_t width);
const FamilyRow* family_of_text(std::int64_t width);
// By its label; nullptr: none.
const FamilyRow* family_labelled(std::string_view label);

// The noise that all of them learn with: β from linspace(√first, √last, steps)².
struct NoiseLaw {
  double first_beta = 0.00085, last_beta = 0.012;
  int steps = 1000;
};
inline constexpr NoiseLaw kNoiseLaw = {};

}  // namespace lowrank::formats
