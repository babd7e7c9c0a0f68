// How a picture is meant to be held: EXIF's Orientation, 1…8. Cameras store what the sensor saw and leave the turning
// to the reader.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string_view>

#include "image/raster.h"

namespace lowrank::image {

// Tag 0x0112 of the first directory of a TIFF block (with or without "Exif\0\0"); nullopt when it is absent, out of
// 1…8 or the block is damaged. Source: EXIF 2.3 §4.6.4.
std::optional<int> orientation_of_exif(std::span<const std::uint8_t> block);

// `tiff:Orientation` of an XMP packet, as attribute or element. Source: XMP specification part 2, §2.4.
std::optional<int> orientation_of_xmp(std::string_view packet);

// The picture as it is to be seen. 2: mirrored left to right, 3: turned by 180°, 4: mirrored top to bottom,
// 5: transposed, 6: turned 90° clockwise, 7: transposed along the other diagonal, 8: turned 90° anticlockwise.
// Any other number leaves it as it is.
Raster upright(Raster stored, int orientation);

}  // namespace lowrank::image
