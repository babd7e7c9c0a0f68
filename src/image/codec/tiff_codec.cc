#include <tiffio.h>

#include <algorithm>
#include <cstdio>
#include <cstring>
#include <memory>

#include "base/error.h"
#include "image/codec/format_codecs.h"

namespace lowrank::image {
namespace {

// No strip of a picture that check_size() lets pass needs more at once.
constexpr tmsize_t kMostBytesAtOnce = tmsize_t{1} << 30;

struct TiffSource {
  Bytes bytes;
  std::uint64_t at = 0;
  std::string message;  // the first error
};

tmsize_t read_tiff(thandle_t handle, void* out, tmsize_t count) {
  auto* source = static_cast<TiffSource*>(handle);
  const std::uint64_t left = source->at < source->bytes.size() ? source->bytes.size() - source->at : 0;
  const auto size =
      static_cast<std::size_t>(std::min(left, static_cast<std::uint64_t>(std::max<tmsize_t>(count, 0))));
  if (size > 0) std::memcpy(out, source->bytes.data() + source->at, size);
  source->at += size;
  return static_cast<tmsize_t>(size);
}

tmsize_t write_tiff(thandle_t, void*, tmsize_t) {
  return 0;
}

toff_t seek_tiff(thandle_t handle, toff_t offset, int whence) {
  auto* source = static_cast<TiffSource*>(handle);
  const std::uint64_t base = whence == SEEK_CUR ? source->at : whence == SEEK_END ? source->bytes.size() : 0;
  source->at = base + offset;
  return source->at;
}

int close_tiff(thandle_t) {
  return 0;
}

toff_t size_of_tiff(thandle_t handle) {
  return static_cast<TiffSource*>(handle)->bytes.size();
}

int keep_message(TIFF*, void* user, const char*, const char* form, va_list values) {
  auto* source = static_cast<TiffSource*>(user);
  if (!source->message.empty()) return 1;
  char text[512];
  std::vsnprintf(text, sizeof text, form, values);
  source->message = text;
  return 1;
}

int drop_message(TIFF*, void*, const char*, const char*, va_list) {
  return 1;
}

struct CloseTiff {
  void operator()(TIFF* file) const { TIFFClose(file); }
};
using OpenTiff = std::unique_ptr<TIFF, CloseTiff>;

OpenTiff open_tiff(TiffSource& source) {
  const std::unique_ptr<TIFFOpenOptions, decltype(&TIFFOpenOptionsFree)> options(TIFFOpenOptionsAlloc(),
                                                                                 TIFFOpenOptionsFree);
  TIFFOpenOptionsSetMaxSingleMemAlloc(options.get(), kMostBytesAtOnce);
  TIFFOpenOptionsSetErrorHandlerExtR(options.get(), keep_message, &source);
  TIFFOpenOptionsSetWarningHandlerExtR(options.get(), drop_message, nullptr);
  return OpenTiff(TIFFClientOpenExt("picture", "rm", &source, read_tiff, write_tiff, seek_tiff, close_tiff,
                                    size_of_tiff, nullptr, nullptr, options.get()));
}

[[noreturn]] void refuse_tiff(const std::string& name, std::string reason) {
  std::ranges::replace(reason, '\n', ' ');
  for (auto at = reason.find(". "); at != std::string::npos; at = reason.find(". ", at)) reason[at] = ';';
  while (!reason.empty() && (reason.back() == '.' || reason.back() == ' ')) reason.pop_back();
  throw Error(kBadInput, "{}: the TIFF cannot be read ({}); save it again as PNG, or download it again.",
              name, reason.empty() ? "it is damaged" : reason);
}

enum class TiffAlpha { kNone, kMultiplied };

// libtiff takes a fourth channel of no stated meaning for alpha; other readers look past it, as its writers mean.
TiffAlpha alpha_of(TIFF* file) {
  std::uint16_t count = 0;
  std::uint16_t* kinds = nullptr;
  TIFFGetFieldDefaulted(file, TIFFTAG_EXTRASAMPLES, &count, &kinds);
  const bool is_alpha =
      count > 0 && (kinds[0] == EXTRASAMPLE_ASSOCALPHA || kinds[0] == EXTRASAMPLE_UNASSALPHA);
  return is_alpha ? TiffAlpha::kMultiplied : TiffAlpha::kNone;
}

}  // namespace

bool is_tiff(Bytes bytes) {
  using namespace std::string_view_literals;
  return has_at(bytes, 0, "II*\0"sv) || has_at(bytes, 0, "MM\0*"sv) || has_at(bytes, 0, "II+\0"sv) ||
         has_at(bytes, 0, "MM\0+"sv);
}

Decoded decode_tiff(Bytes bytes, const std::string& name) {
  TiffSource source{.bytes = bytes, .at = 0, .message = {}};
  const OpenTiff file = open_tiff(source);
  if (!file) refuse_tiff(name, source.message);
  std::uint32_t width = 0, height = 0;
  TIFFGetField(file.get(), TIFFTAG_IMAGEWIDTH, &width);
  TIFFGetField(file.get(), TIFFTAG_IMAGELENGTH, &height);
  check_size(width, height, name);
  char reason[1024] = "";
  if (TIFFRGBAImageOK(file.get(), reason) == 0) refuse_tiff(name, reason);
  std::uint16_t orientation = 1;
  TIFFGetFieldDefaulted(file.get(), TIFFTAG_ORIENTATION, &orientation);
  // Asked for the orientation that it has, libtiff turns nothing: it cannot turn by 90°, orientation.h can.
  std::vector<std::uint32_t> packed(std::size_t{width} * height);
  if (TIFFReadRGBAImageOriented(file.get(), width, height, packed.data(), orientation, /*stop_on_error=*/1) ==
      0)
    refuse_tiff(name, source.message);
  if (!source.message.empty()) refuse_tiff(name, source.message);

  const TiffAlpha alpha_kind = alpha_of(file.get());
  Raster pixels = Raster::blank(static_cast<int>(width), static_cast<int>(height), 4);
  for (std::size_t i = 0; i < packed.size(); ++i) {
    const std::uint32_t colours[] = {TIFFGetR(packed[i]), TIFFGetG(packed[i]), TIFFGetB(packed[i])};
    const std::uint32_t alpha = alpha_kind == TiffAlpha::kNone ? 255 : TIFFGetA(packed[i]);
    std::uint8_t* const pixel = &pixels.bytes[4 * i];
    for (std::size_t c = 0; c < 3; ++c) {
      const std::uint32_t whole = alpha == 0 ? 0 : (colours[c] * 255 + alpha / 2) / alpha;
      pixel[c] = static_cast<std::uint8_t>(std::min(whole, 255u));
    }
    pixel[3] = static_cast<std::uint8_t>(alpha);
  }
  return {std::move(pixels), orientation};
}

}  // namespace lowrank::image
