#include <webp/decode.h>
#include <webp/encode.h>
#include <webp/mux.h>

#include <memory>

#include "base/error.h"
#include "image/exif.h"
#include "image/format_codecs.h"

namespace lowrank::image {

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
                "a picture of {}×{} cannot be written as WebP (at most 16,383 a side); use PNG.",
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
  if (!done) throw Error(kInternal, "the parameters text could not be put into a WebP file.");
  return out;
}

Rgba decode_webp(Bytes bytes, const std::string& name) {
  WebPBitstreamFeatures features{};
  if (WebPGetFeatures(bytes.data(), bytes.size(), &features) != VP8_STATUS_OK)
    throw Error(kBadInput, "{}: the WebP cannot be read; the file is damaged.", name);
  check_size(static_cast<std::uint64_t>(features.width), static_cast<std::uint64_t>(features.height), name);
  int width = 0, height = 0;
  const std::unique_ptr<std::uint8_t, decltype(&WebPFree)> rgba(
      WebPDecodeRGBA(bytes.data(), bytes.size(), &width, &height), WebPFree);
  if (!rgba) throw Error(kBadInput, "{}: the WebP cannot be read; the file is damaged, or animated.", name);
  const std::size_t size =
      std::size_t{4} * static_cast<std::size_t>(width) * static_cast<std::size_t>(height);
  return {width, height, {rgba.get(), rgba.get() + size}};
}

std::optional<std::string> webp_parameters(Bytes bytes) {
  const WebPData file{bytes.data(), bytes.size()};
  const std::unique_ptr<WebPMux, decltype(&WebPMuxDelete)> mux(WebPMuxCreate(&file, 0), WebPMuxDelete);
  WebPData chunk{};
  if (!mux || WebPMuxGetChunk(mux.get(), "EXIF", &chunk) != WEBP_MUX_OK) return std::nullopt;
  return comment_of_exif({chunk.bytes, chunk.size});
}

}  // namespace lowrank::image
