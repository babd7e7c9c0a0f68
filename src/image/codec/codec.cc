#include "image/codec/codec.h"

#include <algorithm>
#include <cctype>
#include <cstring>
#include <utility>

#include "base/atomic_file.h"
#include "base/error.h"
#include "base/mapped_file.h"
#include "image/codec/format_codecs.h"
#include "image/orientation.h"
#include "image/raster.h"

namespace lowrank::image {
namespace {

std::string lower_case(std::string_view text) {
  std::string lower(text);
  std::ranges::transform(lower, lower.begin(),
                         [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  return lower;
}

constexpr std::uint64_t kMaxSide = 16384, kMaxPixels = 100'000'000;

// Formats that people bring and that are not read, and files that are no pictures at all: named, so that the remedy is
// clear.
struct Stranger {
  std::size_t at;
  std::string_view magic, name;
};
constexpr Stranger kStrangers[] = {
    {4, "ftypavif", "an AVIF picture"},
    {4, "ftypavis", "an AVIF picture"},
    {4, "ftyphei", "a HEIC picture"},
    {4, "ftyphev", "a HEIC picture"},
    {4, "ftypmif1", "a HEIF picture"},
    {0, "\xff\x0a", "a JPEG XL picture"},
    {4, "JXL \x0d\x0a\x87\x0a", "a JPEG XL picture"},
    {4, "jP  \x0d\x0a\x87\x0a", "a JPEG 2000 picture"},
    {0, "8BPS", "a Photoshop document"},
    {0, "<svg", "an SVG drawing"},
    {0, "<?xml", "an XML document"},
    {0, "%PDF", "a PDF document"},
    {0, "<!DOCTYPE", "a web page"},
    {0, "<html", "a web page"},
    {0, "version https://git-lfs", "a Git LFS pointer instead of the file itself"},
};

const FormatRow* row_by_ending(const std::filesystem::path& path) {
  const std::string ending = lower_case(path.extension().string());
  const auto rows = format_table();
  const auto found = std::ranges::find_if(rows, [&](const FormatRow& row) {
    return std::ranges::find(row.endings, ending) != row.endings.end();
  });
  return found == rows.end() ? nullptr : &*found;
}

const FormatRow* recognise(Bytes bytes) {
  const auto rows = format_table();
  const auto found = std::ranges::find_if(rows, [&](const FormatRow& row) { return row.recognises(bytes); });
  return found == rows.end() ? nullptr : &*found;
}

Bytes unsigned_bytes(std::span<const std::byte> bytes) {
  return {reinterpret_cast<const std::uint8_t*>(bytes.data()), bytes.size()};
}

// "PNG, JPEG … or TIFF"
std::string format_names() {
  std::string names;
  const auto rows = format_table();
  for (std::size_t i = 0; i < rows.size(); ++i) {
    if (i > 0) names += i + 1 == rows.size() ? " or " : ", ";
    names += rows[i].name;
  }
  return names;
}

const FormatRow& recognise_or_throw(Bytes bytes, const std::string& name) {
  if (const FormatRow* row = recognise(bytes)) return *row;
  if (bytes.empty()) throw Error(kBadInput, "{}: is empty; a picture was expected.", name);
  for (const Stranger& stranger : kStrangers)
    if (has_at(bytes, stranger.at, stranger.magic))
      throw Error(kBadInput, "{}: is {}, which is not supported; save it as {}.", name, stranger.name,
                  format_names());
  throw Error(kBadInput, "{}: is not a {} picture.", name, format_names());
}

Raster decode_upright(std::span<const std::byte> bytes, const std::string& name) {
  const Bytes data = unsigned_bytes(bytes);
  Decoded decoded = recognise_or_throw(data, name).decode(data, name);
  return upright(std::move(decoded.pixels), decoded.orientation);
}

Picture on_white(Raster raster) {
  if (raster.channels == 3) return picture_of(std::move(raster));
  Picture picture = Picture::blank(raster.width, raster.height);
  for (std::size_t i = 0; i < picture.rgb.size() / 3; ++i) {
    const std::uint8_t* in = &raster.bytes[4 * i];
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

Mask brightness(const Raster& raster) {
  const auto step = static_cast<std::size_t>(raster.channels);
  Mask mask{.width = raster.width,
            .height = raster.height,
            .grey = std::vector<std::uint8_t>(raster.bytes.size() / step)};
  for (std::size_t i = 0; i < mask.grey.size(); ++i) mask.grey[i] = luminance(&raster.bytes[step * i]);
  return mask;
}

Mask meant_by(const Raster& raster) {
  Mask mask = brightness(raster);
  if (raster.channels != 4) return mask;
  for (std::size_t i = 0; i < mask.grey.size() && !mask.from_alpha; ++i)
    mask.from_alpha = raster.bytes[4 * i + 3] != 255;
  if (!mask.from_alpha) return mask;
  for (std::size_t i = 0; i < mask.grey.size(); ++i) mask.grey[i] = raster.bytes[4 * i + 3];
  return mask;
}

std::vector<std::uint8_t> encode_for(const std::filesystem::path& path, const Picture& picture,
                                     const EncodeOptions& options) {
  try {
    return encode_picture(picture, options);
  } catch (const Error& error) {
    throw error.during(fmt::format("saving {}", path.string()));
  }
}

}  // namespace

void check_size(std::uint64_t width, std::uint64_t height, const std::string& name) {
  if (width == 0 || height == 0 || width > kMaxSide || height > kMaxSide || width * height > kMaxPixels) {
    throw Error(kBadInput, "{}: is {}×{} pixels; at most {} per side and {} million in total are supported.",
                name, width, height, kMaxSide, kMaxPixels / 1'000'000);
  }
}

bool has_at(Bytes bytes, std::size_t at, std::string_view magic) {
  return bytes.size() >= at + magic.size() && std::memcmp(bytes.data() + at, magic.data(), magic.size()) == 0;
}

PictureFormat picture_format(std::string_view name) {
  const std::string ending = "." + lower_case(name);
  for (const FormatRow& row : format_table())
    if (row.written_as && std::ranges::find(row.endings, ending) != row.endings.end()) return *row.written_as;
  throw Error(kBadInput, "unknown picture format '{}'; choose png, jpg or webp.", name);
}

bool is_picture_name(const std::filesystem::path& path) {
  return row_by_ending(path) != nullptr;
}

std::string picture_mime(const std::filesystem::path& path) {
  const FormatRow* row = row_by_ending(path);
  return row == nullptr ? "" : std::string(row->mime);
}

std::string picture_ending(std::span<const std::byte> bytes, const std::string& name) {
  return std::string(recognise_or_throw(unsigned_bytes(bytes), name).endings.front());
}

std::string picture_endings() {
  std::string all;
  for (const FormatRow& row : format_table())
    for (const auto ending : row.endings) all += (all.empty() ? "" : ", ") + std::string(ending.substr(1));
  return all;
}

std::vector<std::uint8_t> encode_picture(const Picture& picture, const EncodeOptions& options) {
  LOWRANK_CHECK(options.quality >= 1 && options.quality <= 100);
  for (const FormatRow& row : format_table())
    if (row.written_as == options.format) return row.encode(picture, options);
  LOWRANK_CHECK(false);
  return {};
}

Picture decode_picture(std::span<const std::byte> bytes, const std::string& name) {
  return on_white(decode_upright(bytes, name));
}

Mask decode_mask(std::span<const std::byte> bytes, const std::string& name) {
  return meant_by(decode_upright(bytes, name));
}

Mask decode_opacity(std::span<const std::byte> bytes, const std::string& name) {
  const Raster raster = decode_upright(bytes, name);
  Mask mask = mask_of(Raster::blank(raster.width, raster.height, 1));
  mask.from_alpha = raster.channels == 4;
  for (std::size_t i = 0; i < mask.grey.size(); ++i)
    mask.grey[i] = mask.from_alpha ? raster.bytes[4 * i + 3] : 255;
  return mask;
}

std::optional<std::string> read_parameters(std::span<const std::byte> bytes, const std::string& name) {
  const Bytes data = unsigned_bytes(bytes);
  const FormatRow& row = recognise_or_throw(data, name);
  return row.parameters == nullptr ? std::nullopt : row.parameters(data, name);
}

PictureItems read_items(std::span<const std::byte> bytes, const std::string& name) {
  const Bytes data = unsigned_bytes(bytes);
  const FormatRow& row = recognise_or_throw(data, name);
  return row.items == nullptr ? PictureItems{} : row.items(data, name);
}

void save_picture(const std::filesystem::path& path, const Picture& picture, const EncodeOptions& options) {
  const auto bytes = encode_for(path, picture, options);
  AtomicFile file(path);
  file.write(std::as_bytes(std::span(bytes)));
  file.commit();
}

std::filesystem::path save_new_picture(const std::filesystem::path& path, const Picture& picture,
                                       const EncodeOptions& options) {
  const auto bytes = encode_for(path, picture, options);
  AtomicFile file(path);
  file.write(std::as_bytes(std::span(bytes)));
  return file.commit_new();
}

Picture load_picture(const std::filesystem::path& path) {
  return decode_picture(MappedFile::open(path)->bytes(), path.string());
}

Mask load_mask(const std::filesystem::path& path) {
  return decode_mask(MappedFile::open(path)->bytes(), path.string());
}

Mask load_opacity(const std::filesystem::path& path) {
  return decode_opacity(MappedFile::open(path)->bytes(), path.string());
}

std::optional<std::string> load_parameters(const std::filesystem::path& path) {
  return read_parameters(MappedFile::open(path)->bytes(), path.string());
}

}  // namespace lowrank::image
