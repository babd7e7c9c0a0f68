#include "pipeline/pictures/init_pictures.h"

#include <fmt/format.h>

#include <algorithm>
#include <span>

#include "base/error.h"
#include "base/md5.h"

namespace lowrank::pipeline {
namespace {

enum class ResizeMode { kStretch = 0, kCover = 1, kContain = 2, kLatent = 3 };

image::Fit fit_of(ResizeMode mode) {
  switch (mode) {
    case ResizeMode::kStretch:
      return image::Fit::kStretch;
    case ResizeMode::kCover:
      return image::Fit::kCover;
    case ResizeMode::kContain:
    case ResizeMode::kLatent:
      return image::Fit::kContain;
  }
  return image::Fit::kStretch;
}

// The mask as drawn, in the size of the picture it lies over: rounded, inverted, blurred.
image::Mask shaped_mask(const request::GenerationRequest& r, InitPictures& init) {
  const image::Picture& picture = r.init_images.front();
  image::Mask mask = r.mask_round ? image::rounded(*r.mask) : *r.mask;
  if (mask.width != picture.width || mask.height != picture.height) {
    init.warnings.push_back(
        fmt::format("the mask is {}x{} pixels but its picture {}x{}; the mask was stretched.", mask.width,
                    mask.height, picture.width, picture.height));
    mask = image::fit(mask, picture.width, picture.height, image::Fit::kStretch);
  }
  if (r.inpainting_mask_invert != 0) mask = image::inverted(mask);
  const bool both = r.mask_blur >= 0;
  return image::blurred(mask, both ? r.mask_blur : r.mask_blur_x, both ? r.mask_blur : r.mask_blur_y);
}

// Twice as strong, so that the soft edge of the mask belongs to what was made anew.
image::Mask doubled(image::Mask mask) {
  for (std::uint8_t& value : mask.grey) value = static_cast<std::uint8_t>(std::min(255, 2 * value));
  return mask;
}

void prepare_mask(const request::GenerationRequest& r, ResizeMode mode, InitPictures& init) {
  const image::Mask mask = shaped_mask(r, init);
  if (!r.inpaint_full_res) {
    init.mask = image::fit(mask, r.width, r.height, fit_of(mode));
    init.overlay_mask = doubled(*init.mask);
    return;
  }
  const auto region = image::covered(mask, r.inpaint_full_res_padding);
  if (!region) {
    init.warnings.push_back(
        "the mask is blank, so there is no masked area to work on; running plain img2img.");
    return;
  }
  init.place = image::expanded(*region, r.width, r.height, mask.width, mask.height);
  init.mask = image::fit(image::crop(mask, *init.place), r.width, r.height, image::Fit::kContain);
  init.overlay_mask = mask;
}

image::Picture cropped(const image::Picture& picture, const image::Rect& place) {
  return image::crop(picture, place.left, place.top, place.width(), place.height());
}

}  // namespace

InitPictures prepare_init_pictures(const request::GenerationRequest& r, const image::Enlarge& enlarge) {
  const auto mode = static_cast<ResizeMode>(r.resize_mode);
  InitPictures init;
  for (const auto& picture : r.init_images)
    if (r.mask &&
        (picture.width != r.init_images.front().width || picture.height != r.init_images.front().height))
      throw Error(kBadInput,
                  "with a mask all init pictures must have the same size; the first is {}x{}, another {}x{}.",
                  r.init_images.front().width, r.init_images.front().height, picture.width, picture.height);
  if (r.mask) prepare_mask(r, mode, init);
  if (init.mask && !init.place && mode == ResizeMode::kLatent)
    throw Error(kBadInput,
                "a mask over the whole picture does not work with the resize mode 'latent upscale'; choose "
                "another resize mode, or the inpaint area 'Only masked'.");
  if (init.mask)
    init.latent_mask =
        r.latent_mask ? image::fit(*r.latent_mask, r.width, r.height, image::Fit::kStretch) : *init.mask;
  for (const image::Picture& given : r.init_images) {
    image::Picture picture = given;
    if (!init.place && mode != ResizeMode::kLatent)
      picture = image::fit(picture, r.width, r.height, fit_of(mode), enlarge);
    if (init.mask) init.originals.push_back(picture);
    if (init.place)
      picture = image::fit(cropped(picture, *init.place), r.width, r.height, image::Fit::kContain, enlarge);
    if (init.mask && r.inpainting_fill != request::kFillOriginal)
      picture = image::filled(picture, *init.latent_mask);
    init.pictures.push_back(std::move(picture));
  }
  return init;
}

image::Picture put_back(const InitPictures& init, std::size_t index, const image::Picture& made) {
  if (!init.mask) return made;
  const image::Picture& original = init.originals[init.originals.size() == 1 ? 0 : index];
  return image::composited(original, *init.overlay_mask, made, init.place);
}

std::string init_picture_hash(const image::Picture& picture) {
  return md5_hex(std::as_bytes(std::span(picture.rgb)));
}

}  // namespace lowrank::pipeline
