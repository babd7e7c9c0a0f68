#include "pipeline/pictures/latent_picture.h"

#include <ATen/ATen.h>

#include <algorithm>

#include "base/error.h"

namespace lowrank::pipeline {
namespace {

// [3, H, W] bytes.
image::Picture picture_of_bytes(const at::Tensor& channels) {
  const at::Tensor bytes = channels.permute({1, 2, 0}).contiguous();
  image::Picture picture{
      .width = static_cast<int>(bytes.size(1)), .height = static_cast<int>(bytes.size(0)), .rgb = {}};
  picture.rgb.assign(bytes.data_ptr<std::uint8_t>(), bytes.data_ptr<std::uint8_t>() + bytes.numel());
  return picture;
}

// Names the first weight that is not a number, as programs leave it that convert what float16 cannot hold.
void refuse_damaged_weights(const LoadedModel& model) {
  for (const adapter::ModelPart& part : model.parts()) {
    const bool is_other_file = part.component == formats::Component::kVae && !model.vae_path.empty();
    for (const auto& [name, layer] : *part.layers) {
      if (layer->is_held_in_int8() || layer->weight().isfinite().all().item<bool>()) continue;
      throw Error(kBadInput,
                  "{}: the weight '{}' of its {} contains NaN or infinite values, and so does the picture; "
                  "download the file again or choose another.",
                  (is_other_file ? model.vae_path : model.path).string(), name,
                  formats::component_name(part.component));
    }
  }
}

}  // namespace

image::Picture to_picture(const at::Tensor& pixels) {
  LOWRANK_CHECK(pixels.dim() == 3 && pixels.size(0) == 3);
  return picture_of_bytes(((pixels.to(at::kFloat) + 1) / 2).clamp(0, 1).mul(255).to(at::kByte));
}

image::Picture rounded_picture(const at::Tensor& pixels) {
  LOWRANK_CHECK(pixels.dim() == 3 && pixels.size(0) == 3);
  return picture_of_bytes(pixels.to(at::kFloat).clamp(0, 1).mul(255).round().to(at::kByte));
}

at::Tensor picture_tensor(const image::Picture& picture) {
  const at::Tensor bytes = at::from_blob(const_cast<std::uint8_t*>(picture.rgb.data()),
                                         {picture.height, picture.width, 3}, at::kByte);
  return (bytes.permute({2, 0, 1}).to(at::kFloat) / 255).unsqueeze(0).contiguous();
}

at::Tensor encode_pixels(const LoadedModel& model, const at::Tensor& pixels) {
  if (model.tiny_encoder) return model.tiny_encoder->encode(pixels);
  return model.vae->encode_moments(pixels).narrow(1, 0, model.vae->latent_channels()) * model.latent_scale;
}

at::Tensor decode_pixels(const LoadedModel& model, const at::Tensor& latent) {
  const at::Tensor pixels = model.tiny_decoder ? model.tiny_decoder->decode(latent)
                                               : model.vae->decode(latent / model.latent_scale);
  if (pixels.isfinite().all().item<bool>()) return pixels.select(0, 0);
  refuse_damaged_weights(model);
  throw Error(kUnsupported,
              "the picture contains NaN or infinite values; try smaller LoRA weights, a smaller CFG scale "
              "or another VAE.");
}

image::Picture decode_latent(const LoadedModel& model, const at::Tensor& latent) {
  return to_picture(decode_pixels(model, latent));
}

image::Picture preview_latent(const LoadedModel& model, const at::Tensor& latent) {
  if (!model.has_family_latents || latent.size(0) != 4)
    return to_picture(model.vae->decode(latent.unsqueeze(0) / model.latent_scale).select(0, 0));
  const formats::LatentColours& weights = model.family().colours;
  const at::Tensor colours = at::from_blob(const_cast<float*>(&weights[0][0]), {4, 3}, at::kFloat);
  return to_picture(at::tensordot(colours, latent.to(at::kFloat), {0}, {0}));
}

}  // namespace lowrank::pipeline
