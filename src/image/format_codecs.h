// One decoder and encoder per format, inside the image room only.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "image/codec.h"
#include "image/picture.h"

namespace lowrank::image {

using Bytes = std::span<const std::uint8_t>;

// A picture as PNG and WebP hold it, four bytes a pixel, colours not multiplied by alpha.
struct Rgba {
  int width = 0, height = 0;
  std::vector<std::uint8_t> bytes;
};

// Throws Error(kBadInput) when a picture of this size is refused.
void check_size(std::uint64_t width, std::uint64_t height, const std::string& name);

std::vector<std::uint8_t> encode_png(const Picture& picture, const std::string& parameters);
Rgba decode_png(Bytes bytes, const std::string& name);
std::optional<std::string> png_parameters(Bytes bytes, const std::string& name);
PictureItems png_items(Bytes bytes, const std::string& name);
std::vector<std::pair<std::string, std::string>> png_texts(Bytes bytes, const std::string& name);
std::vector<std::uint8_t> png_exif(Bytes bytes, const std::string& name);  // empty when there is none

std::vector<std::uint8_t> encode_jpeg(const Picture& picture, int quality, const std::string& parameters);
Picture decode_jpeg(Bytes bytes, const std::string& name);
std::optional<std::string> jpeg_parameters(Bytes bytes);

std::vector<std::uint8_t> encode_webp(const Picture& picture, int quality, const std::string& parameters);
Rgba decode_webp(Bytes bytes, const std::string& name);
std::optional<std::string> webp_parameters(Bytes bytes);

}  // namespace lowrank::image
