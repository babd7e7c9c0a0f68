#include "image/codec.h"

#include <algorithm>
#include <cctype>
#include <cstring>

#include "base/atomic_file.h"
#include "base/error.h"
#include "base/mapped_file.h"
#include "image/format_codecs.h"

namespace lowrank::image {
namespace {

constexpr std::uint64_t kMaxSide = 16384, kMaxPixels = 100'000'000;

std::optional<PictureFormat> recognise(Bytes bytes) {
  const auto starts = [&](std::size_t at, std::string_view magic) {
    return bytes.size() >= at + magic.size() &&
           std::memcmp(bytes.data() + at, magic.data(), magic.size()) == 0;
  };
  if (starts(0, "\x89PNG\r\n\x1a\n")) return PictureFormat::kPng;
  if (starts(0, "\xff\xd8\xff")) return PictureFormat::kJpeg;
  if (starts(0, "RIFF") && starts(8, "WEBP")) return PictureFormat::kWebp;
  return std::nullopt;
}

Bytes unsigned_bytes(std::span<const std::byte> bytes) {
  return {reinterpret_cast<const std::uint8_t*>(bytes.data()), bytes.size()};
}

PictureFormat recognise_or_throw(Bytes bytes, const std::string& name) {
  const auto format = recognise(bytes);
  if (!format) throw Error(kBadInput, "{}: is neither a PNG, a JPEG nor a WebP picture.", name);
  return *format;
}

Picture on_white(const Rgba& rgba) {
  Picture picture = Picture::blank(rgba.width, rgba.height);
  for (std::size_t i = 0; i < picture.rgb.size() / 3; ++i) {
    const std::uint8_t* in = &rgba.bytes[4 * i];
    const unsigned alpha = in[3];
    for (std::size_t c = 0; c < 3; ++c)
      picture.rgb[3 * i + c] = static_cast<std::uint8_t>((in[c] * alpha + 255 * (255 - alpha) + 127) / 255);
  }
  return picture;
}

// ITU-R 601-2 luminance in 16-bit fixed point. Source: Pillow's convert("L").
std::uint8_t luminance(const std::uint8_t* rgb) {
  return static_cast<std::uint8_t>((rgb[0] * 19595U + rgb[1] * 38470U + rgb[2] * 7471U + 0x8000U) >> 16);
}

// Four or three bytes a pixel.
Mask brightness(int width, int height, const std::vector<std::uint8_t>& bytes, std::size_t step) {
  Mask mask{.width = width, .height = height, .grey = std::vector<std::uint8_t>(bytes.size() / step)};
  for (std::size_t i = 0; i < mask.grey.size(); ++i) mask.grey[i] = luminance(&bytes[step * i]);
  return mask;
}

Mask mask_of(const Rgba& rgba) {
  Mask mask = brightness(rgba.width, rgba.height, rgba.bytes, 4);
  for (std::size_t i = 0; i < mask.grey.size() && !mask.from_alpha; ++i)
    mask.from_alpha = rgba.bytes[4 * i + 3] != 255;
  if (!mask.from_alpha) return mask;
  for (std::size_t i = 0; i < mask.grey.size(); ++i) mask.grey[i] = rgba.bytes[4 * i + 3];
  return mask;
}

}  // namespace

void check_size(std::uint64_t width, std::uint64_t height, const std::string& name) {
  if (width == 0 || height == 0 || width > kMaxSide || height > kMaxSide || width * height > kMaxPixels) {
    throw Error(kBadInput, "{}: is {}×{} pixels; at most {} a side and {} million in all are read.", name,
                width, height, kMaxSide, kMaxPixels / 1'000'000);
  }
}

PictureFormat picture_format(std::string_view name) {
  std::string lower(name);
  std::transform(lower.begin(), lower.end(), lower.begin(),
                 [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  if (lower == "png") return PictureFormat::kPng;
  if (lower == "jpg" || lower == "jpeg") return PictureFormat::kJpeg;
  if (lower == "webp") return PictureFormat::kWebp;
  throw Error(kBadInput, "there is no picture format '{}'; choose png, jpg or webp.", name);
}

std::vector<std::uint8_t> encode_picture(const Picture& picture, const EncodeOptions& options) {
  LOWRANK_CHECK(options.quality >= 1 && options.quality <= 100);
  switch (options.format) {
    case PictureFormat::kPng:
      return encode_png(picture, options.parameters);
    case PictureFormat::kJpeg:
      return encode_jpeg(picture, options.quality, options.parameters);
    case PictureFormat::kWebp:
      return encode_webp(picture, options.quality, options.parameters);
  }
  return {};
}

Picture decode_picture(std::span<const std::byte> bytes, const std::string& name) {
  const Bytes data = unsigned_bytes(bytes);
  switch (recognise_or_throw(data, name)) {
    case PictureFormat::kPng:
      return on_white(decode_png(data, name));
    case PictureFormat::kJpeg:
      return decode_jpeg(data, name);
    case PictureFormat::kWebp:
      return on_white(decode_webp(data, name));
  }
  return {};
}

Mask decode_mask(std::span<const std::byte> bytes, const std::string& name) {
  const Bytes data = unsigned_bytes(bytes);
  switch (recognise_or_throw(data, name)) {
    case PictureFormat::kPng:
      return mask_of(decode_png(data, name));
    case PictureFormat::kJpeg: {
      const Picture picture = decode_jpeg(data, name);
      return brightness(picture.width, picture.height, picture.rgb, 3);
    }
    case PictureFormat::kWebp:
      return mask_of(decode_webp(data, name));
  }
  return {};
}

std::optional<std::string> read_parameters(std::span<const std::byte> bytes, const std::string& name) {
  const Bytes data = unsigned_bytes(bytes);
  switch (recognise_or_throw(data, name)) {
    case PictureFormat::kPng:
      return png_parameters(data, name);
    case PictureFormat::kJpeg:
      return jpeg_parameters(data);
    case PictureFormat::kWebp:
      return webp_parameters(data);
  }
  return std::nullopt;
}

PictureItems read_items(std::span<const std::byte> bytes, const std::string& name) {
  const Bytes data = unsigned_bytes(bytes);
  return recognise_or_throw(data, name) == PictureFormat::kPng ? png_items(data, name) : PictureItems{};
}

void save_picture(const std::filesystem::path& path, const Picture& picture, const EncodeOptions& options) {
  std::vector<std::uint8_t> bytes;
  try {
    bytes = encode_picture(picture, options);
  } catch (const Error& error) {
    throw error.during(fmt::format("saving {}", path.string()));
  }
  AtomicFile file(path);
  file.write(std::as_bytes(std::span(bytes)));
  file.commit();
}

Picture load_picture(const std::filesystem::path& path) {
  return decode_picture(MappedFile::open(path)->bytes(), path.string());
}

Mask load_mask(const std::filesystem::path& path) {
  return decode_mask(MappedFile::open(path)->bytes(), path.string());
}

std::optional<std::string> load_parameters(const std::filesystem::path& path) {
  return read_parameters(MappedFile::open(path)->bytes(), path.string());
}

}  // namespace lowrank::image
