// What inpainting does to pictures and masks before and after the model: A1111's rules with the arithmetic of
// the libraries that it uses, to the byte. Source: A1111's masking.py and processing.py; Pillow's ImageFilter
// and alpha compositing; OpenCV's GaussianBlur.
#pragma once

#include <optional>

#include "image/mask.h"
#include "image/picture.h"

namespace lowrank::image {

struct Rect {
  int left = 0, top = 0, right = 0, bottom = 0;  // right and bottom lie outside
  int width() const { return right - left; }
  int height() const { return bottom - top; }
  friend bool operator==(const Rect&, const Rect&) = default;
};

// A mask from transparency with each pixel either 0 or 255 (above 128); one from brightness as it is.
Mask rounded(const Mask& mask);
Mask inverted(const Mask& mask);
Mask crop(const Mask& mask, const Rect& rect);

// Gaussian blur with the given sigmas in pixels, each axis by itself, 0: not at all. The kernel reaches
// ⌊2.5·sigma + 0.5⌋ pixels, the picture's edge reflects.
Mask blurred(const Mask& mask, int sigma_x, int sigma_y);

// The smallest rectangle that holds all pixels that are not 0, `padding` pixels wider on each side where
// there is room. nullopt: all are 0.
std::optional<Rect> covered(const Mask& mask, int padding);

// `rect` grown, and shifted where it would leave the picture, to the proportions of width × height as far as
// picture_width × picture_height allow.
Rect expanded(Rect rect, int width, int height, int picture_width, int picture_height);

// Under the mask, colours that flow in from outside: the picture without the masked part, blurred ever less,
// laid over itself.
Picture filled(const Picture& picture, const Mask& mask);

// `original` over `made` wherever the mask is dark, mixed where it is grey. With `place` the made picture
// covers only that rectangle of the original.
Picture composited(const Picture& original, const Mask& mask, const Picture& made,
                   const std::optional<Rect>& place);

}  // namespace lowrank::image
