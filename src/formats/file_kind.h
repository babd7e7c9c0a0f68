// What kind of model a file of tensors is, told by its keys, for sentences that refuse it where another kind is
// wanted. Source: the names that A1111, diffusers, ComfyUI and the kinds' own training programs write.
#pragma once

#include <string>
#include <string_view>

#include "weights/tensor_file.h"

namespace lowrank::formats {

// What describe_file() says of TAESD and its like (tiny_autoencoder.h).
inline constexpr std::string_view kTinyAutoencoderKind = "a tiny autoencoder (TAESD)";

// With article: "a LoRA", "an SDXL checkpoint", "a ControlNet"; for what is not recognised the first key's name.
std::string describe_file(const weights::TensorFile& file);

// The part of a sentence that follows a file's name where `wanted` ("a LoRA", "a VAE", "a textual inversion") is
// asked for: "is no LoRA, it looks like a ControlNet", and of a file that looks like one all the same what it lacks.
std::string refusal_of_kind(const weights::TensorFile& file, std::string_view wanted);

}  // namespace lowrank::formats
