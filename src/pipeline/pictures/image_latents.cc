#include "pipeline/pictures/image_latents.h"

#include <ATen/ATen.h>

#include "pipeline/pictures/latent_picture.h"
#include "sampling/noise.h"

namespace lowrank::pipeline {
namespace {

constexpr int kFillLatentNoise = 2, kFillLatentNothing = 3, kResizeLatent = 3;

// One picture at a time: the largest maps of a batch together would need as much memory again for each.
at::Tensor encode_all(const LoadedModel& model, const at::Tensor& pixels) {
  std::vector<at::Tensor> latents;
  for (std::int64_t i = 0; i < pixels.size(0); ++i)
    latents.push_back(encode_pixels(model, pixels.narrow(0, i, 1)));
  return at::cat(latents);
}

at::Tensor noise_of(const std::vector<std::uint64_t>& seeds, sampling::RngKind rng, const at::Tensor& like) {
  return sampling::make_image_noise({.rng = rng,
                                     .seeds = seeds,
                                     .channels = like.size(1),
                                     .height = like.size(2),
                                     .width = like.size(3)})
      ->next();
}

}  // namespace

at::Tensor pixels_of(const std::vector<image::Picture>& pictures) {
  std::vector<at::Tensor> tensors;
  for (const auto& picture : pictures) tensors.push_back(picture_tensor(picture) * 2 - 1);
  return at::cat(tensors);
}

at::Tensor mask_tensor(const image::Mask& mask, bool rounds) {
  const at::Tensor bytes =
      at::from_blob(const_cast<std::uint8_t*>(mask.grey.data()), {1, 1, mask.height, mask.width}, at::kByte);
  const at::Tensor share = bytes.to(at::kFloat) / 255;
  return rounds ? share.round() : share;
}

ImageLatents encode_init_pictures(const LoadedModel& model, const request::GenerationRequest& r,
                                  const InitPictures& init, const std::vector<std::uint64_t>& seeds,
                                  sampling::RngKind rng) {
  const std::int64_t cell = model.vae->downscale(), height = r.height / cell, width = r.width / cell;
  ImageLatents result{.latent = encode_all(model, pixels_of(init.pictures)), .repaint = {}};
  if (r.resize_mode == kResizeLatent)
    result.latent = at::upsample_bilinear2d(result.latent, at::IntArrayRef({height, width}), false);
  if (!init.mask) return result;
  const image::Mask cells = image::resample(*init.latent_mask, static_cast<int>(width),
                                            static_cast<int>(height), image::Filter::kBicubic);
  result.repaint = mask_tensor(cells, r.mask_round);
  const at::Tensor kept = 1 - result.repaint;
  if (r.inpainting_fill == kFillLatentNoise)
    result.latent = result.latent * kept + noise_of(seeds, rng, result.latent) * result.repaint;
  if (r.inpainting_fill == kFillLatentNothing) result.latent = result.latent * kept;
  return result;
}

at::Tensor inpainting_channels(const LoadedModel& model, const at::Tensor& pixels, const at::Tensor& mask,
                               double weight, at::IntArrayRef latent_size) {
  if (!model.is_inpainting()) return {};
  const at::Tensor hidden =
      mask.defined() ? mask : at::ones({1, 1, pixels.size(2), pixels.size(3)}, pixels.options());
  const at::Tensor seen = encode_all(model, at::lerp(pixels, pixels * (1 - hidden), weight));
  const at::Tensor cells = at::upsample_nearest2d(hidden, latent_size);
  return at::cat({cells.expand({seen.size(0), 1, cells.size(2), cells.size(3)}), seen}, 1);
}

at::Tensor inpainting_channels(const LoadedModel& model, std::int64_t width, std::int64_t height) {
  if (!model.is_inpainting()) return {};
  const std::int64_t cell = model.vae->downscale();
  const at::Tensor seen = encode_pixels(model, at::zeros({1, 3, height / cell * cell, width / cell * cell}));
  return at::cat({at::ones({1, 1, seen.size(2), seen.size(3)}), seen}, 1);
}

}  // namespace lowrank::pipeline
