#include <csetjmp>
#include <cstdio>
#include <cstdlib>
#include <utility>

#include <jerror.h>
#include <jpeglib.h>

#include "base/error.h"
#include "image/codec/format_codecs.h"
#include "image/exif.h"
#include "image/orientation.h"

namespace lowrank::image {
namespace {

// libjpeg ends the process on errors unless told otherwise: jump back and keep the message.
struct ErrorManager {
  jpeg_error_mgr base;
  jmp_buf jump;
  char message[JMSG_LENGTH_MAX];
  bool damaged;  // pixels were made up
  bool
      ended_early;  // the data ended before its end marker: a missing marker only, unless progressive or arithmetic
};
void on_error(j_common_ptr info) {
  auto* manager = reinterpret_cast<ErrorManager*>(info->err);
  info->err->format_message(info, manager->message);
  longjmp(manager->jump, 1);
}
void on_message(j_common_ptr) {}
// libjpeg goes on after these with grey or wrong pixels. Bytes too many and unknown markers do no harm.
void on_warning(j_common_ptr info, int level) {
  if (level >= 0) return;
  auto* manager = reinterpret_cast<ErrorManager*>(info->err);
  const int code = info->err->msg_code;
  if (code == JWRN_JPEG_EOF) {
    manager->ended_early = true;
  } else if (code == JWRN_HIT_MARKER || code == JWRN_HUFF_BAD_CODE || code == JWRN_MUST_RESYNC) {
    manager->damaged = true;
  } else {
    return;
  }
  if (manager->message[0] == '\0') info->err->format_message(info, manager->message);
}

jpeg_error_mgr* prepare(ErrorManager& manager) {
  jpeg_error_mgr* base = jpeg_std_error(&manager.base);
  base->error_exit = on_error;
  base->output_message = on_message;
  base->emit_message = on_warning;
  manager.message[0] = '\0';
  return base;
}

bool start(jpeg_decompress_struct& info, ErrorManager& manager, Bytes bytes) {
  if (setjmp(manager.jump) != 0) return false;
  jpeg_create_decompress(&info);
  jpeg_mem_src(&info, bytes.data(), static_cast<unsigned long>(bytes.size()));
  jpeg_read_header(&info, TRUE);
  return true;
}

// One row of CMYK as RGB. Photoshop, and after it everybody, stores the inks of a JPEG inverted: 255 is no ink.
// Source: Pillow's "CMYK;I" and its conversion of CMYK to RGB.
void cmyk_to_rgb(const std::uint8_t* cmyk, std::uint8_t* rgb, std::size_t count) {
  for (std::size_t i = 0; i < count; ++i) {
    const std::uint8_t white = cmyk[4 * i + 3];
    for (std::size_t c = 0; c < 3; ++c)
      rgb[3 * i + c] = static_cast<std::uint8_t>(white - mul_div_255(255u - cmyk[4 * i + c], white));
  }
}

// `inks`: room for one row of CMYK, nullptr when the picture has another kind of colours.
bool read_all(jpeg_decompress_struct& info, ErrorManager& manager, std::uint8_t* out, std::uint8_t* inks) {
  if (setjmp(manager.jump) != 0) return false;
  jpeg_start_decompress(&info);
  const std::size_t stride = std::size_t{3} * info.output_width;
  while (info.output_scanline < info.output_height) {
    std::uint8_t* const rgb = out + stride * info.output_scanline;
    JSAMPROW row = inks != nullptr ? inks : rgb;
    if (jpeg_read_scanlines(&info, &row, 1) == 1 && inks != nullptr)
      cmyk_to_rgb(inks, rgb, info.output_width);
  }
  return !manager.damaged && !(manager.ended_early && (info.progressive_mode || info.arith_code));
}

// The body of the first segment with this marker whose content begins so, without that beginning. Segments: FF marker,
// then a two-byte length that counts itself; the scan ends the headers.
std::optional<Bytes> jpeg_segment(Bytes bytes, std::uint8_t wanted, std::string_view beginning) {
  for (std::size_t at = 2; at + 4 <= bytes.size() && bytes[at] == 0xFF;) {
    const std::uint8_t marker = bytes[at + 1];
    if (marker == 0xFF) {  // a fill byte
      ++at;
      continue;
    }
    const std::size_t length = (std::size_t{bytes[at + 2]} << 8) | bytes[at + 3];
    if (marker == 0xDA || length < 2 || length > bytes.size() - at - 2) break;
    const Bytes body = bytes.subspan(at + 4, length - 2);
    if (marker == wanted && body.size() > beginning.size() && has_at(body, 0, beginning))
      return body.subspan(beginning.size());
    at += 2 + length;
  }
  return std::nullopt;
}

constexpr std::uint8_t kApp1 = 0xE1;
constexpr std::string_view kExifMark("Exif\0\0", 6), kXmpMark("http://ns.adobe.com/xap/1.0/\0", 29);

int jpeg_orientation(Bytes bytes) {
  std::optional<int> found;
  if (const auto exif = jpeg_segment(bytes, kApp1, kExifMark)) found = orientation_of_exif(*exif);
  if (found) return *found;
  if (const auto xmp = jpeg_segment(bytes, kApp1, kXmpMark))
    found = orientation_of_xmp({reinterpret_cast<const char*>(xmp->data()), xmp->size()});
  return found.value_or(1);
}

bool write_all(jpeg_compress_struct& info, ErrorManager& manager, const Picture& picture, int quality,
               const std::uint8_t* exif, unsigned exif_size, unsigned char** buffer, unsigned long* size) {
  if (setjmp(manager.jump) != 0) return false;
  jpeg_create_compress(&info);
  jpeg_mem_dest(&info, buffer, size);
  info.image_width = static_cast<JDIMENSION>(picture.width);
  info.image_height = static_cast<JDIMENSION>(picture.height);
  info.input_components = 3;
  info.in_color_space = JCS_RGB;
  jpeg_set_defaults(&info);
  jpeg_set_quality(&info, quality, TRUE);
  jpeg_start_compress(&info, TRUE);
  if (exif_size > 0) jpeg_write_marker(&info, JPEG_APP0 + 1, exif, exif_size);
  while (info.next_scanline < info.image_height) {
    JSAMPROW row = const_cast<JSAMPROW>(picture.pixel(0, static_cast<int>(info.next_scanline)));
    jpeg_write_scanlines(&info, &row, 1);
  }
  jpeg_finish_compress(&info);
  return true;
}

}  // namespace

std::vector<std::uint8_t> encode_jpeg(const Picture& picture, int quality, const std::string& parameters) {
  if (picture.width > JPEG_MAX_DIMENSION || picture.height > JPEG_MAX_DIMENSION) {
    throw Error(kUnsupported, "a picture of {}×{} cannot be written as JPEG (at most {} per side); use PNG.",
                picture.width, picture.height, JPEG_MAX_DIMENSION);
  }
  std::vector<std::uint8_t> exif;
  if (!parameters.empty()) {
    exif = {'E', 'x', 'i', 'f', 0, 0};
    const auto tiff = exif_with_comment(parameters);
    exif.insert(exif.end(), tiff.begin(), tiff.end());
    if (exif.size() > 65533) {
      throw Error(kUnsupported,
                  "the generation parameters have {} bytes, more than fit into a JPEG; use PNG or WebP.",
                  parameters.size());
    }
  }
  ErrorManager manager{};
  jpeg_compress_struct info{};
  info.err = prepare(manager);
  unsigned char* buffer = nullptr;
  unsigned long size = 0;
  const bool done = write_all(info, manager, picture, quality, exif.data(),
                              static_cast<unsigned>(exif.size()), &buffer, &size);
  std::vector<std::uint8_t> out;
  if (done) out.assign(buffer, buffer + size);
  jpeg_destroy_compress(&info);
  std::free(buffer);
  if (!done) throw Error(kInternal, "a JPEG could not be written ({}).", manager.message);
  return out;
}

Decoded decode_jpeg(Bytes bytes, const std::string& name) {
  ErrorManager manager{};
  jpeg_decompress_struct info{};
  info.err = prepare(manager);
  struct Destroy {
    jpeg_decompress_struct* info;
    ~Destroy() { jpeg_destroy_decompress(info); }
  } destroy{&info};
  const auto refuse = [&] {
    throw Error(kBadInput, "{}: the JPEG cannot be read ({}); the file is damaged.", name, manager.message);
  };
  if (!start(info, manager, bytes)) refuse();
  check_size(info.image_width, info.image_height, name);
  const bool has_inks = info.jpeg_color_space == JCS_CMYK || info.jpeg_color_space == JCS_YCCK;
  info.out_color_space = has_inks ? JCS_CMYK : JCS_RGB;
  std::vector<std::uint8_t> inks(has_inks ? std::size_t{4} * info.image_width : 0);
  Raster pixels = Raster::blank(static_cast<int>(info.image_width), static_cast<int>(info.image_height), 3);
  if (!read_all(info, manager, pixels.bytes.data(), has_inks ? inks.data() : nullptr)) refuse();
  return {std::move(pixels), jpeg_orientation(bytes)};
}

std::optional<std::string> jpeg_parameters(Bytes bytes) {
  const auto exif = jpeg_segment(bytes, kApp1, kExifMark);
  return exif ? comment_of_exif(*exif) : std::nullopt;
}

}  // namespace lowrank::image
