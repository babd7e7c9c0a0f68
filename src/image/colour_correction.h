// A1111's colour correction of img2img: the result gets the colours of the picture that it started from, and keeps its
// own light and dark. Source: A1111's apply_color_correction, with OpenCV's CIE Lab, scikit-image's match_histograms
// and the luminosity blend of the blendmodes package.
#pragma once

#include "image/picture.h"

namespace lowrank::image {

// Each Lab channel of `made` is spread as that of `reference`; then the luminosity of `made` is put back. The sizes may
// differ.
Picture colour_corrected(const Picture& made, const Picture& reference);

}  // namespace lowrank::image
