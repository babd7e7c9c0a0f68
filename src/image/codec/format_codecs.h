// One decoder, and where LowRank writes the format one encoder, per format, inside the image room only. A new format
// is a file with its functions and a row in format_table.cc.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "image/codec/picture_format.h"
#include "image/picture.h"
#include "image/raster.h"

namespace lowrank::image {

using Bytes = std::span<const std::uint8_t>;

// A picture as its file stores it.
struct Decoded {
  Raster pixels;  // three channels, or four: the fourth is alpha, by which the colours are not multiplied
  int orientation = 1;  // how it is to be held, see orientation.h
};

struct FormatRow {
  std::string_view name;                    // "PNG"
  std::vector<std::string_view> endings;    // lower case with the dot, the usual one first
  std::string_view mime;                    // "image/png"
  std::optional<PictureFormat> written_as;  // nullopt: is only read
  bool (*recognises)(Bytes);
  Decoded (*decode)(Bytes, const std::string& name);
  // nullptr: the format carries no such text.
  std::optional<std::string> (*parameters)(Bytes, const std::string& name);
  PictureItems (*items)(Bytes, const std::string& name);
  std::vector<std::uint8_t> (*encode)(const Picture&, const EncodeOptions&);
};
std::span<const FormatRow> format_table();

bool has_at(Bytes bytes, std::size_t at, std::string_view magic);

// Throws Error(kBadInput) when a picture of this size is refused.
void check_size(std::uint64_t width, std::uint64_t height, const std::string& name);

std::vector<std::uint8_t> encode_png(const Picture& picture, const std::string& parameters);
Decoded decode_png(Bytes bytes, const std::string& name);
std::optional<std::string> png_parameters(Bytes bytes, const std::string& name);
PictureItems png_items(Bytes bytes, const std::string& name);
std::vector<std::pair<std::string, std::string>> png_texts(Bytes bytes, const std::string& name);
std::vector<std::uint8_t> png_exif(Bytes bytes, const std::string& name);  // empty when there is none

std::vector<std::uint8_t> encode_jpeg(const Picture& picture, int quality, const std::string& parameters);
Decoded decode_jpeg(Bytes bytes, const std::string& name);
std::optional<std::string> jpeg_parameters(Bytes bytes);

std::vector<std::uint8_t> encode_webp(const Picture& picture, int quality, const std::string& parameters);
Decoded decode_webp(Bytes bytes, const std::string& name);
std::optional<std::string> webp_parameters(Bytes bytes);

bool is_gif(Bytes bytes);
Decoded decode_gif(Bytes bytes, const std::string& name);  // the first frame
std::optional<std::string> gif_parameters(Bytes bytes);

bool is_bmp(Bytes bytes);
Decoded decode_bmp(Bytes bytes, const std::string& name);

bool is_tiff(Bytes bytes);
Decoded decode_tiff(Bytes bytes, const std::string& name);  // the first page

}  // namespace lowrank::image
