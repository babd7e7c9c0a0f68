#include "image/picture_texts.h"

#include <webp/decode.h>
#include <webp/mux.h>

#include <algorithm>
#include <cstring>
#include <memory>
#include <string_view>

#include "image/codec/codec.h"
#include "image/codec/format_codecs.h"
#include "image/content_credentials.h"
#include "image/exif.h"

namespace lowrank::image {
namespace {

using namespace std::string_view_literals;
constexpr std::string_view kXmpName = "XML:com.adobe.xmp";

bool begins(Bytes bytes, std::string_view magic) {
  return bytes.size() >= magic.size() && std::memcmp(bytes.data(), magic.data(), magic.size()) == 0;
}

std::string text_of(Bytes bytes) {
  const std::string_view text(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  return utf8_or_latin1(text.substr(0, text.find('\0')));
}

void add_exif(Bytes block, NamedTexts& texts) {
  for (auto& [name, text] : texts_of_exif(block)) texts.emplace_back(std::move(name), std::move(text));
}

void add_credentials(Bytes manifest, NamedTexts& texts) {
  const auto name = credentials_of(manifest);
  const bool is_known = std::ranges::any_of(texts, [](const auto& each) { return each.first == "C2PA"; });
  if (name && !is_known) texts.emplace_back("C2PA", *name);
}

int number16(Bytes bytes, std::size_t at) {
  return bytes[at] << 8 | bytes[at + 1];
}

// Segments: FF marker, then a two-byte length that counts itself; the scan ends the headers.
void read_jpeg(Bytes bytes, PictureWords& words) {
  for (std::size_t at = 2; at + 4 <= bytes.size() && bytes[at] == 0xFF;) {
    const std::uint8_t marker = bytes[at + 1];
    if (marker == 0xFF) {  // a fill byte
      ++at;
      continue;
    }
    const std::size_t length = static_cast<std::size_t>(number16(bytes, at + 2));
    if (marker == 0xDA || length < 2 || length > bytes.size() - at - 2) break;
    const Bytes body = bytes.subspan(at + 4, length - 2);
    constexpr std::string_view kXmp = "http://ns.adobe.com/xap/1.0/\0"sv;
    if (marker == 0xE1 && begins(body, "Exif\0\0"sv)) {
      add_exif(body.subspan(6), words.texts);
    } else if (marker == 0xE1 && begins(body, kXmp)) {
      words.texts.emplace_back(kXmpName, text_of(body.subspan(kXmp.size())));
    } else if (marker == 0xEB) {
      add_credentials(jpeg_manifest(body), words.texts);
    } else if (marker == 0xFE) {
      words.texts.emplace_back("comment", text_of(body));
    } else if (marker >= 0xC0 && marker <= 0xC2 && body.size() >= 5) {
      words.height = number16(body, 1);
      words.width = number16(body, 3);
    }
    at += 2 + length;
  }
}

void read_webp(Bytes bytes, PictureWords& words) {
  WebPBitstreamFeatures features{};
  if (WebPGetFeatures(bytes.data(), bytes.size(), &features) == VP8_STATUS_OK) {
    words.width = features.width;
    words.height = features.height;
  }
  const WebPData file{bytes.data(), bytes.size()};
  const std::unique_ptr<WebPMux, decltype(&WebPMuxDelete)> mux(WebPMuxCreate(&file, 0), WebPMuxDelete);
  WebPData chunk{};
  if (mux && WebPMuxGetChunk(mux.get(), "EXIF", &chunk) == WEBP_MUX_OK)
    add_exif({chunk.bytes, chunk.size}, words.texts);
  if (mux && WebPMuxGetChunk(mux.get(), "C2PA", &chunk) == WEBP_MUX_OK)
    add_credentials({chunk.bytes, chunk.size}, words.texts);
  if (mux && WebPMuxGetChunk(mux.get(), "XMP ", &chunk) == WEBP_MUX_OK)
    words.texts.emplace_back(kXmpName, text_of({chunk.bytes, chunk.size}));
}

void read_png(Bytes bytes, PictureWords& words, const std::string& name) {
  if (bytes.size() >= 24 && begins(bytes.subspan(12), "IHDR")) {
    words.width = number16(bytes, 16) << 16 | number16(bytes, 18);
    words.height = number16(bytes, 20) << 16 | number16(bytes, 22);
  }
  words.texts = png_texts(bytes, name);
  if (const auto exif = png_exif(bytes, name); !exif.empty()) add_exif(exif, words.texts);
  add_credentials(png_manifest(bytes), words.texts);
}

}  // namespace

PictureWords read_words(std::span<const std::byte> bytes, const std::string& name) {
  const Bytes data{reinterpret_cast<const std::uint8_t*>(bytes.data()), bytes.size()};
  PictureWords words;
  if (begins(data, "\x89PNG\r\n\x1a\n")) {
    read_png(data, words, name);
  } else if (begins(data, "\xff\xd8\xff")) {
    read_jpeg(data, words);
  } else if (begins(data, "RIFF") && data.size() >= 12 && begins(data.subspan(8), "WEBP")) {
    read_webp(data, words);
  } else if (const auto text = read_parameters(bytes, name)) {
    words.texts.emplace_back("comment", *text);
  }
  return words;
}

}  // namespace lowrank::image
