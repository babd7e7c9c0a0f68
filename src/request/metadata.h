// The parameters text of a finished picture, in A1111's order, and the way back: a request that makes the
// picture again.
#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "prompt/infotext.h"
#include "request/generation_request.h"

namespace lowrank::request {

// What is told about a picture beside its request.
struct PictureFacts {
  // The request as it was carried out: prompts without comments and with styles, sampler and schedule by
  // their labels, width and height in pixels, seed and subseed of this picture, checkpoint and VAE by file
  // name; of hires fix only what differs from the first pass.
  GenerationRequest request;
  std::string model_hash, vae_hash;  // "" when there is none
  bool has_vae_file = false;
  bool int8 = false;  // the U-Net was held in 8 bits
  std::vector<std::pair<std::string, std::string>> lora_hashes,
      embedding_hashes;  // name → hash, in prompt order
  std::vector<std::string> loras_not_found;
  std::vector<std::string> lora_reports;  // one short line per LoRA
  std::string version;
  std::string init_hash = {};  // of the picture that img2img started from
  bool has_mask = false;       // it was inpainting
  bool is_inpainting_model = false, refined = false;
  bool encodes_pictures = false;                     // pictures became latents on the way
  bool is_told_size = false, is_told_score = false;  // SDXL; its refiner
  // What the checkpoint predicts and by which statement; "" where the request says it.
  std::string prediction_rule = {};
  // Which settings of the sampler took effect.
  bool uses_eta = false, uses_churn = false, uses_noise_scale = false, uses_ensd = false;
  double default_eta = 1;  // of the sampler; 0: the DDIM family, which takes eta_ddim
  bool uses_emphasis = false, padded = false, skipped_early = false, skipped_by_sigma = false;
};

// Source: A1111's create_infotext; entries that only LowRank knows (`Lora not found`, `Lora report`) stand
// before Version.
std::string picture_metadata(const PictureFacts& facts);

// Sets every field that the text names. Returns the labels that change a picture but are unknown here, so
// that the caller can say that the repetition will differ. Throws Error(kBadInput) naming a label whose value
// is unreadable.
std::vector<std::string> apply_metadata(GenerationRequest& request, const prompt::Infotext& infotext);

// Whether the text's picture was made from another one: img2img, which the text alone cannot repeat.
bool is_img2img(const prompt::Infotext& infotext);

}  // namespace lowrank::request
