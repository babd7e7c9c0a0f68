// Windows bitmaps: 1, 4, 8, 16, 24 and 32 bits a pixel, with masks and with run lengths. Source: Microsoft's "Bitmap
// Storage" and "Bitmap Compression" (BITMAPCOREHEADER, BITMAPINFOHEADER, BITMAPV4HEADER, BITMAPV5HEADER).
#include <algorithm>
#include <array>
#include <bit>
#include <utility>

#include "base/checked.h"
#include "base/error.h"
#include "image/codec/format_codecs.h"

namespace lowrank::image {
namespace {

constexpr std::size_t kFileHeader = 14;
constexpr std::uint32_t kCoreHeader = 12;
enum BmpCompression : std::uint32_t { kPlain = 0, kRle8 = 1, kRle4 = 2, kBitFields = 3, kAlphaBitFields = 6 };

// Where one channel stands in a pixel of 16 or 32 bits.
struct ChannelBits {
  std::uint32_t mask = 0;
  std::uint8_t of(std::uint32_t pixel) const {
    if (mask == 0) return 0;
    const int shift = std::countr_zero(mask);
    const std::uint64_t most = mask >> shift, value = (pixel & mask) >> shift;
    return static_cast<std::uint8_t>((value * 255 + most / 2) / most);
  }
};

class BmpReader {
 public:
  BmpReader(Bytes bytes, const std::string& name) : bytes_(bytes), name_(name) { read_header(); }

  Raster read() {
    pixels_ = Raster::blank(width_, height_, 4);
    if (compression_ == kRle8 || compression_ == kRle4) {
      read_runs();
    } else {
      read_rows();
    }
    return std::move(pixels_);
  }

 private:
  [[noreturn]] void refuse(const std::string& reason) const {
    throw Error(kBadInput, "{}: the BMP cannot be read ({}); save it again as PNG, or download it again.",
                name_, reason);
  }

  std::uint32_t number(std::size_t at, std::size_t size) const {
    if (!range_fits(at, size, bytes_.size())) refuse("the file ends too early");
    std::uint32_t value = 0;
    for (std::size_t i = size; i-- > 0;) value = (value << 8) | bytes_[at + i];
    return value;
  }
  std::uint32_t u16(std::size_t at) const { return number(at, 2); }
  std::uint32_t u32(std::size_t at) const { return number(at, 4); }

  void read_header() {
    data_ = u32(10);
    const std::uint32_t header = u32(kFileHeader);
    const bool is_core = header == kCoreHeader;
    const std::int64_t width = is_core ? std::int64_t{u16(18)} : static_cast<std::int32_t>(u32(18));
    const std::int64_t height = is_core ? std::int64_t{u16(20)} : static_cast<std::int32_t>(u32(22));
    bits_ = u16(is_core ? 24 : 28);
    compression_ = is_core ? kPlain : u32(30);
    is_top_down_ = height < 0;
    const auto rows = static_cast<std::uint64_t>(is_top_down_ ? -height : height);
    check_size(width < 0 ? 0 : static_cast<std::uint64_t>(width), rows, name_);
    width_ = static_cast<int>(width);
    height_ = static_cast<int>(rows);
    check_form();
    read_masks(header);
    read_colours(header, is_core);
  }

  void check_form() const {
    const bool is_known = bits_ == 1 || bits_ == 4 || bits_ == 8 || bits_ == 16 || bits_ == 24 || bits_ == 32;
    const bool fits =
        compression_ == kPlain || (compression_ == kRle8 && bits_ == 8) ||
        (compression_ == kRle4 && bits_ == 4) ||
        ((compression_ == kBitFields || compression_ == kAlphaBitFields) && (bits_ == 16 || bits_ == 32));
    if (!is_known || !fits)
      refuse(fmt::format("{} bits per pixel with compression {} are not supported", bits_, compression_));
  }

  // The masks stand in the header of 52 and more bytes, at the same place behind the one of 40.
  void read_masks(std::uint32_t header) {
    if (compression_ == kBitFields || compression_ == kAlphaBitFields) {
      for (std::size_t c = 0; c < 3; ++c) channels_[c].mask = u32(54 + 4 * c);
      if (header >= 56 || compression_ == kAlphaBitFields) channels_[3].mask = u32(66);
      if (bits_ == 16)
        for (auto& channel : channels_) channel.mask &= 0xFFFF;
    } else if (bits_ == 16) {
      channels_ = {ChannelBits{0x7C00}, {0x03E0}, {0x001F}, {}};
    } else {
      channels_ = {ChannelBits{0xFF0000}, {0x00FF00}, {0x0000FF}, {}};
    }
  }

  void read_colours(std::uint32_t header, bool is_core) {
    if (bits_ > 8) return;
    const std::size_t entry = is_core ? 3 : 4, at = kFileHeader + header;
    const std::uint32_t stated = is_core ? 0 : u32(46);
    const std::uint32_t most = 1u << bits_, count = stated == 0 ? most : std::min(stated, most);
    for (std::uint32_t i = 0; i < count; ++i) {
      const std::size_t place = at + entry * i;
      // A core header does not state how many colours there are: where the pixels begin, they end.
      if (is_core && place + entry > data_) break;
      colours_[i] = {static_cast<std::uint8_t>(number(place + 2, 1)),
                     static_cast<std::uint8_t>(number(place + 1, 1)),
                     static_cast<std::uint8_t>(number(place, 1))};
    }
  }

  // `row` from the first one in the file.
  std::uint8_t* pixel(int x, int row) {
    return &pixels_.bytes[pixels_.at(x, is_top_down_ ? row : height_ - 1 - row)];
  }

  void put(std::uint8_t* out, const std::array<std::uint8_t, 3>& colour) {
    std::copy(colour.begin(), colour.end(), out);
    out[3] = 255;
  }

  void read_rows() {
    const std::size_t stride = (static_cast<std::size_t>(width_) * bits_ + 31) / 32 * 4;
    // Some writers leave out what fills the last row up.
    const std::size_t used = (static_cast<std::size_t>(width_) * bits_ + 7) / 8;
    if (!range_fits(data_, stride * (static_cast<std::size_t>(height_) - 1) + used, bytes_.size()))
      refuse("the file ends too early");
    for (int row = 0; row < height_; ++row) {
      const Bytes line = bytes_.subspan(data_ + stride * static_cast<std::size_t>(row));
      for (int x = 0; x < width_; ++x) put_plain(pixel(x, row), line, static_cast<std::size_t>(x));
    }
  }

  void put_plain(std::uint8_t* out, Bytes line, std::size_t x) {
    if (bits_ <= 8) {
      const std::size_t bit = x * bits_;
      const unsigned shift = static_cast<unsigned>(8 - bits_ - bit % 8);
      put(out, colours_[(line[bit / 8] >> shift) & ((1u << bits_) - 1)]);
      return;
    }
    std::uint32_t value = 0;
    const std::size_t size = bits_ / 8;
    for (std::size_t i = size; i-- > 0;) value = (value << 8) | line[x * size + i];
    for (std::size_t c = 0; c < 3; ++c) out[c] = channels_[c].of(value);
    out[3] = channels_[3].mask == 0 ? 255 : channels_[3].of(value);
  }

  // Pairs of a count and a value, or 0 and a command: 0 ends a row, 1 the picture, 2 moves by two bytes, 3 and more
  // begin that many pixels one by one. What no run reaches has the first colour.
  void read_runs() {
    for (std::size_t i = 0; i < pixels_.bytes.size(); i += 4) put(&pixels_.bytes[i], colours_[0]);
    int x = 0, row = 0;
    for (std::size_t at = data_;;) {
      const std::uint32_t count = number(at, 1), value = number(at + 1, 1);
      at += 2;
      if (count > 0) {
        if (row >= height_) refuse("a run lies outside the picture");
        const int end = run_end(x, count);
        for (int i = 0; x < end; ++i) put_run(x++, row, value, i);
      } else if (value == 0) {
        x = 0;
        ++row;
      } else if (value == 1) {
        return;
      } else if (value == 2) {
        x = run_end(x, number(at, 1));
        row += static_cast<int>(number(at + 1, 1));
        at += 2;
      } else {
        if (row >= height_) refuse("a run lies outside the picture");
        const int end = run_end(x, value);
        for (int i = 0; x < end; ++i)
          put_run(x++, row, number(at + static_cast<std::size_t>(bits_ == 8 ? i : i / 2), 1), i);
        at += (std::size_t{value} * bits_ + 15) / 16 * 2;  // in whole words
      }
      if (row > height_) refuse("a run lies outside the picture");
    }
  }

  // What is right of the picture is not looked at.
  int run_end(int x, std::uint32_t count) const { return std::min(width_, x + static_cast<int>(count)); }

  // Number i of a run of 8 bits a pixel, or of pairs of 4 bits whose upper half comes first.
  void put_run(int x, int row, std::uint32_t value, int i) {
    put(pixel(x, row), colours_[bits_ == 8 ? value : i % 2 == 0 ? value >> 4 : value & 15]);
  }

  Bytes bytes_;
  const std::string& name_;
  std::size_t data_ = 0;  // where the pixels begin
  std::uint32_t bits_ = 0, compression_ = 0;
  int width_ = 0, height_ = 0;
  bool is_top_down_ = false;
  std::array<ChannelBits, 4> channels_ = {};  // red, green, blue, alpha
  std::array<std::array<std::uint8_t, 3>, 256> colours_ = {};
  Raster pixels_;
};

}  // namespace

bool is_bmp(Bytes bytes) {
  constexpr std::array<std::uint8_t, 7> kHeaders = {kCoreHeader, 40, 52, 56, 64, 108, 124};
  return has_at(bytes, 0, "BM") && bytes.size() >= 18 && std::ranges::count(kHeaders, bytes[14]) > 0 &&
         bytes[15] == 0;
}

Decoded decode_bmp(Bytes bytes, const std::string& name) {
  return {BmpReader(bytes, name).read(), 1};
}

}  // namespace lowrank::image
