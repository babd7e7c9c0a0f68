#include <gif_lib.h>

#include <algorithm>
#include <cstring>
#include <memory>

#include "base/error.h"
#include "base/text/utf8.h"
#include "image/codec/format_codecs.h"
#include "image/exif.h"

namespace lowrank::image {
namespace {

struct GifSource {
  Bytes bytes;
  std::size_t at = 0;
};

int read_gif(GifFileType* file, GifByteType* out, int count) {
  auto* source = static_cast<GifSource*>(file->UserData);
  const std::size_t size = std::min(static_cast<std::size_t>(count), source->bytes.size() - source->at);
  std::memcpy(out, source->bytes.data() + source->at, size);
  source->at += size;
  return static_cast<int>(size);
}

[[noreturn]] void refuse_gif(const std::string& name, const char* reason) {
  throw Error(kBadInput, "{}: the GIF cannot be read ({}); the file is damaged.", name,
              reason == nullptr ? "it has no picture" : reason);
}

struct CloseGif {
  void operator()(GifFileType* file) const { DGifCloseFile(file, nullptr); }
};
using OpenGif = std::unique_ptr<GifFileType, CloseGif>;

// What stands before the first frame.
struct GifBeginning {
  int transparent = NO_TRANSPARENT_COLOR;  // the colour that is not shown
  std::string comment;
};

void read_extension(OpenGif& file, GifBeginning& beginning, const std::string& name) {
  int code = 0;
  GifByteType* block = nullptr;  // its length, then that many bytes
  if (DGifGetExtension(file.get(), &code, &block) == GIF_ERROR) refuse_gif(name, GifErrorString(file->Error));
  for (; block != nullptr;) {
    GraphicsControlBlock control;
    if (code == GRAPHICS_EXT_FUNC_CODE && DGifExtensionToGCB(block[0], block + 1, &control) == GIF_OK)
      beginning.transparent = control.TransparentColor;
    if (code == COMMENT_EXT_FUNC_CODE && beginning.comment.size() < (8u << 20))
      beginning.comment.append(reinterpret_cast<const char*>(block + 1), block[0]);
    if (DGifGetExtensionNext(file.get(), &block) == GIF_ERROR) refuse_gif(name, GifErrorString(file->Error));
  }
}

// Reads up to the first frame's description; false when there is none.
bool find_frame(OpenGif& file, GifBeginning& beginning, const std::string& name) {
  for (;;) {
    GifRecordType record = UNDEFINED_RECORD_TYPE;
    if (DGifGetRecordType(file.get(), &record) == GIF_ERROR) refuse_gif(name, GifErrorString(file->Error));
    if (record == TERMINATE_RECORD_TYPE) return false;
    if (record == IMAGE_DESC_RECORD_TYPE) return true;
    if (record == EXTENSION_RECORD_TYPE) read_extension(file, beginning, name);
  }
}

OpenGif open_gif(GifSource& source, const std::string& name) {
  int error = 0;
  OpenGif file(DGifOpen(&source, read_gif, &error));
  if (!file) refuse_gif(name, GifErrorString(error));
  return file;
}

// Order in which an interlaced frame's rows come. Source: GIF89a, appendix E.
std::vector<int> row_order(int rows, bool is_interlaced) {
  std::vector<int> order;
  if (is_interlaced) {
    constexpr struct { int first, step; } kInterlacePasses[] = {{0, 8}, {4, 8}, {2, 4}, {1, 2}};
    for (const auto pass : kInterlacePasses)
      for (int y = pass.first; y < rows; y += pass.step) order.push_back(y);
  } else {
    for (int y = 0; y < rows; ++y) order.push_back(y);
  }
  return order;
}

void set_pixel(std::uint8_t* pixel, int index, const ColorMapObject* colours, int transparent) {
  // Without a table of colours the numbers are greys.
  const auto grey = static_cast<std::uint8_t>(index);
  const bool is_known = colours != nullptr && index < colours->ColorCount;
  const GifColorType colour = is_known             ? colours->Colors[index]
                              : colours == nullptr ? GifColorType{grey, grey, grey}
                                                   : GifColorType{0, 0, 0};
  pixel[0] = colour.Red;
  pixel[1] = colour.Green;
  pixel[2] = colour.Blue;
  pixel[3] = index == transparent ? 0 : 255;
}

}  // namespace

bool is_gif(Bytes bytes) {
  return has_at(bytes, 0, "GIF87a") || has_at(bytes, 0, "GIF89a");
}

Decoded decode_gif(Bytes bytes, const std::string& name) {
  GifSource source{.bytes = bytes};
  OpenGif file = open_gif(source, name);
  GifBeginning beginning;
  if (!find_frame(file, beginning, name)) refuse_gif(name, nullptr);
  if (DGifGetImageDesc(file.get()) == GIF_ERROR) refuse_gif(name, GifErrorString(file->Error));
  const GifImageDesc& frame = file->Image;
  // A frame may be larger than the screen that the header states: then it counts. Source: Pillow.
  const int width = std::max(file->SWidth, frame.Left + frame.Width);
  const int height = std::max(file->SHeight, frame.Top + frame.Height);
  check_size(static_cast<std::uint64_t>(width), static_cast<std::uint64_t>(height), name);
  if (frame.Width == 0 || frame.Height == 0) refuse_gif(name, "its first frame is empty");

  const ColorMapObject* colours = frame.ColorMap != nullptr ? frame.ColorMap : file->SColorMap;
  Raster pixels = Raster::blank(width, height, 4);
  const int around = std::max(beginning.transparent, 0);
  for (std::size_t i = 0; i < pixels.bytes.size(); i += 4)
    set_pixel(&pixels.bytes[i], around, colours, beginning.transparent);
  std::vector<GifPixelType> row(static_cast<std::size_t>(frame.Width));
  for (const int y : row_order(frame.Height, frame.Interlace)) {
    if (DGifGetLine(file.get(), row.data(), frame.Width) == GIF_ERROR)
      refuse_gif(name, GifErrorString(file->Error));
    for (int x = 0; x < frame.Width; ++x)
      set_pixel(&pixels.bytes[pixels.at(frame.Left + x, frame.Top + y)], row[static_cast<std::size_t>(x)],
                colours, beginning.transparent);
  }
  return {std::move(pixels), 1};
}

std::optional<std::string> gif_parameters(Bytes bytes) {
  const std::string name = "GIF";
  GifSource source{.bytes = bytes};
  GifBeginning beginning;
  try {
    OpenGif file = open_gif(source, name);
    find_frame(file, beginning, name);
  } catch (const Error&) {
    // A text before the damage is kept.
  }
  if (beginning.comment.empty()) return std::nullopt;
  return mended_utf8(beginning.comment);
}

}  // namespace lowrank::image
