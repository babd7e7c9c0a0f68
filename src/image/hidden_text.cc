#include "image/hidden_text.h"

#include <zlib.h>

#include <algorithm>
#include <cstdint>
#include <string_view>

#include "base/error.h"
#include "base/text/utf8.h"
#include "image/codec/format_codecs.h"
#include "image/exif.h"
#include "image/raster.h"

namespace lowrank::image {
namespace {

constexpr std::size_t kMostBytes = 8u << 20;
constexpr std::size_t kNameBytes = 15;  // of every name above

// The lowest bits of some channels, column by column.
class BitReader {
 public:
  BitReader(const Raster& pixels, int first_channel, int channels)
      : pixels_(pixels), first_(first_channel), channels_(channels) {}

  std::size_t bytes_left() const {
    const std::size_t bits = static_cast<std::size_t>(pixels_.width) *
                             static_cast<std::size_t>(pixels_.height) * static_cast<std::size_t>(channels_);
    return (bits - at_) / 8;
  }

  // `count` bytes, or as many as are left.
  std::string read(std::size_t count) {
    std::string out(std::min(count, bytes_left()), '\0');
    for (char& byte : out) {
      unsigned value = 0;
      for (int bit = 0; bit < 8; ++bit) value = value << 1 | next();
      byte = static_cast<char>(value);
    }
    return out;
  }

 private:
  unsigned next() {
    const std::size_t pixel = at_ / static_cast<std::size_t>(channels_);
    const int channel = first_ + static_cast<int>(at_ % static_cast<std::size_t>(channels_));
    ++at_;
    const auto height = static_cast<std::size_t>(pixels_.height);
    const std::size_t place = pixels_.at(static_cast<int>(pixel / height), static_cast<int>(pixel % height));
    return pixels_.bytes[place + static_cast<std::size_t>(channel)] & 1u;
  }

  const Raster& pixels_;
  int first_, channels_;
  std::size_t at_ = 0;
};

// "" when it is no whole gzip file or holds more than is read.
std::string unpacked(const std::string& packed) {
  z_stream stream{};
  constexpr int kGzipOnly = 15 + 16;
  if (inflateInit2(&stream, kGzipOnly) != Z_OK) return "";
  stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(packed.data()));
  stream.avail_in = static_cast<uInt>(packed.size());
  std::string out;
  int status = Z_OK;
  while (status == Z_OK && out.size() <= kMostBytes) {
    char part[16384];
    stream.next_out = reinterpret_cast<Bytef*>(part);
    stream.avail_out = sizeof part;
    status = inflate(&stream, Z_NO_FLUSH);
    out.append(part, sizeof part - stream.avail_out);
  }
  inflateEnd(&stream);
  return status == Z_STREAM_END && out.size() <= kMostBytes ? out : "";
}

std::optional<std::string> read_text(BitReader bits, std::string_view kind) {
  const std::string name = bits.read(kNameBytes);
  const bool is_packed = name == "stealth_" + std::string(kind) + "comp";
  if (!is_packed && name != "stealth_" + std::string(kind) + "info") return std::nullopt;
  std::uint32_t length = 0;
  for (const char byte : bits.read(4)) length = length << 8 | static_cast<std::uint8_t>(byte);
  const std::size_t count = length / 8;
  if (count == 0 || count > kMostBytes || count > bits.bytes_left()) return std::nullopt;
  std::string text = bits.read(count);
  if (is_packed) text = unpacked(text);
  text = mended_utf8(text);
  return text.empty() ? std::nullopt : std::optional(std::move(text));
}

}  // namespace

std::optional<std::string> hidden_text(std::span<const std::byte> bytes, const std::string& name) {
  const Bytes data{reinterpret_cast<const std::uint8_t*>(bytes.data()), bytes.size()};
  const auto rows = format_table();
  const auto row = std::ranges::find_if(rows, [&](const FormatRow& each) { return each.recognises(data); });
  if (row == rows.end() || (row->name != "PNG" && row->name != "WebP")) return std::nullopt;
  Raster pixels;
  try {
    pixels = row->decode(data, name).pixels;
  } catch (const Error&) {
    return std::nullopt;
  }
  if (pixels.channels == 4)
    if (auto text = read_text(BitReader(pixels, 3, 1), "png")) return text;
  return read_text(BitReader(pixels, 0, 3), "rgb");
}

}  // namespace lowrank::image
