#include <webp/decode.h>
#include <webp/demux.h>
#include <webp/encode.h>
#include <webp/mux.h>

#include <algorithm>
#include <memory>
#include <utility>

#include "base/error.h"
#include "image/codec/format_codecs.h"
#include "image/exif.h"
#include "image/orientation.h"

namespace lowrank::image {
namespace {

const char* reason_of(VP8StatusCode status) {
  switch (status) {
    case VP8_STATUS_NOT_ENOUGH_DATA:
    case VP8_STATUS_SUSPENDED:
      return "the file ends too early";
    case VP8_STATUS_UNSUPPORTED_FEATURE:
      return "it uses a feature that libwebp does not support";
    case VP8_STATUS_OUT_OF_MEMORY:
      return "there is too little memory";
    default:
      return "its data is inconsistent";
  }
}

[[noreturn]] void refuse_webp(const std::string& name, VP8StatusCode status) {
  throw Error(kBadInput, "{}: the WebP cannot be read ({}); the file is damaged.", name, reason_of(status));
}

Raster still_picture(Bytes bytes, int width, int height, const std::string& name) {
  Raster pixels = Raster::blank(width, height, 4);
  WebPDecoderConfig config;
  LOWRANK_CHECK(WebPInitDecoderConfig(&config) != 0);
  config.output.colorspace = MODE_RGBA;
  config.output.is_external_memory = 1;
  config.output.u.RGBA = {pixels.bytes.data(), 4 * width, pixels.bytes.size()};
  const auto status = WebPDecode(bytes.data(), bytes.size(), &config);
  WebPFreeDecBuffer(&config.output);
  if (status != VP8_STATUS_OK) refuse_webp(name, status);
  return pixels;
}

// On its canvas, transparent where the frame does not reach.
Raster first_frame(Bytes bytes, const std::string& name) {
  WebPAnimDecoderOptions options;
  LOWRANK_CHECK(WebPAnimDecoderOptionsInit(&options) != 0);
  const WebPData file{bytes.data(), bytes.size()};
  const std::unique_ptr<WebPAnimDecoder, decltype(&WebPAnimDecoderDelete)> decoder(
      WebPAnimDecoderNew(&file, &options), WebPAnimDecoderDelete);
  WebPAnimInfo info;
  std::uint8_t* frame = nullptr;
  int timestamp = 0;
  if (!decoder || WebPAnimDecoderGetInfo(decoder.get(), &info) == 0 ||
      WebPAnimDecoderGetNext(decoder.get(), &frame, &timestamp) == 0)
    throw Error(kBadInput, "{}: the first frame of the animated WebP cannot be read; the file is damaged.",
                name);
  Raster pixels = Raster::blank(static_cast<int>(info.canvas_width), static_cast<int>(info.canvas_height), 4);
  std::copy_n(frame, pixels.bytes.size(), pixels.bytes.begin());
  return pixels;
}

// What `read` makes of a chunk; nullopt without one.
template <typename Read>
auto with_chunk(Bytes bytes, const char* fourcc, const Read& read) -> decltype(read(Bytes())) {
  const WebPData file{bytes.data(), bytes.size()};
  const std::unique_ptr<WebPMux, decltype(&WebPMuxDelete)> mux(WebPMuxCreate(&file, 0), WebPMuxDelete);
  WebPData chunk{};
  if (!mux || WebPMuxGetChunk(mux.get(), fourcc, &chunk) != WEBP_MUX_OK) return std::nullopt;
  return read(Bytes(chunk.bytes, chunk.size));
}

int webp_orientation(Bytes bytes) {
  auto found = with_chunk(bytes, "EXIF", orientation_of_exif);
  if (!found)
    found = with_chunk(bytes, "XMP ", [](Bytes packet) {
      return orientation_of_xmp({reinterpret_cast<const char*>(packet.data()), packet.size()});
    });
  return found.value_or(1);
}

}  // namespace

std::vector<std::uint8_t> encode_webp(const Picture& picture, int quality, const std::string& parameters) {
  std::uint8_t* data = nullptr;
  const int stride = picture.width * 3;
  const std::size_t size =
      quality >= 100 ? WebPEncodeLosslessRGB(picture.rgb.data(), picture.width, picture.height, stride, &data)
                     : WebPEncodeRGB(picture.rgb.data(), picture.width, picture.height, stride,
                                     static_cast<float>(quality), &data);
  const std::unique_ptr<std::uint8_t, decltype(&WebPFree)> owner(data, WebPFree);
  if (size == 0)
    throw Error(kUnsupported,
                "a picture of {}×{} cannot be written as WebP (at most 16,383 per side); use PNG.",
                picture.width, picture.height);
  if (parameters.empty()) return {data, data + size};
  const auto exif = exif_with_comment(parameters);
  const std::unique_ptr<WebPMux, decltype(&WebPMuxDelete)> mux(WebPMuxNew(), WebPMuxDelete);
  const WebPData image{data, size}, chunk{exif.data(), exif.size()};
  WebPData whole{};
  const bool done = WebPMuxSetImage(mux.get(), &image, 0) == WEBP_MUX_OK &&
                    WebPMuxSetChunk(mux.get(), "EXIF", &chunk, 0) == WEBP_MUX_OK &&
                    WebPMuxAssemble(mux.get(), &whole) == WEBP_MUX_OK;
  std::vector<std::uint8_t> out;
  if (done) out.assign(whole.bytes, whole.bytes + whole.size);
  WebPDataClear(&whole);
  if (!done) throw Error(kInternal, "the generation parameters could not be written into a WebP file.");
  return out;
}

Decoded decode_webp(Bytes bytes, const std::string& name) {
  WebPBitstreamFeatures features{};
  if (const auto status = WebPGetFeatures(bytes.data(), bytes.size(), &features); status != VP8_STATUS_OK)
    refuse_webp(name, status);
  check_size(static_cast<std::uint64_t>(features.width), static_cast<std::uint64_t>(features.height), name);
  Raster pixels = features.has_animation != 0 ? first_frame(bytes, name)
                                              : still_picture(bytes, features.width, features.height, name);
  return {std::move(pixels), webp_orientation(bytes)};
}

std::optional<std::string> webp_parameters(Bytes bytes) {
  return with_chunk(bytes, "EXIF", comment_of_exif);
}

}  // namespace lowrank::image
