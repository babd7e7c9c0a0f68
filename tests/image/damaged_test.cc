// Files that are cut, changed or lie about their size: always an Error in one sentence or a picture, and no
// memory for what is not there.
#include <gtest/gtest.h>

#include <array>
#include <atomic>
#include <cstdlib>
#include <limits>
#include <new>
#include <random>

#include "image/picture_files.h"

namespace {
std::atomic<std::size_t> largest_request{0};
}  // namespace

// Notes the largest block that C++ code of this program asks for. Not inlined, or GCC sees malloc meet delete
// and warns.
[[gnu::noinline]] void* operator new(std::size_t size) {
  std::size_t seen = largest_request;
  while (size > seen && !largest_request.compare_exchange_weak(seen, size)) {
  }
  if (void* block = std::malloc(size > 0 ? size : 1)) return block;
  throw std::bad_alloc();
}
[[gnu::noinline]] void operator delete(void* block) noexcept {
  std::free(block);
}
[[gnu::noinline]] void operator delete(void* block, std::size_t) noexcept {
  std::free(block);
}

namespace lowrank::image {
namespace {

using ::testing::HasSubstr;

std::string big_endian(std::uint32_t number, int size = 4) {
  std::string bytes;
  for (int i = size - 1; i >= 0; --i) bytes.push_back(static_cast<char>(number >> (8 * i) & 0xFF));
  return bytes;
}

// CRC-32 of the PNG specification's annex D, bit by bit.
std::uint32_t crc(const std::string& bytes) {
  std::uint32_t value = 0xFFFFFFFFu;
  for (const char c : bytes) {
    value ^= static_cast<unsigned char>(c);
    for (int i = 0; i < 8; ++i) value = (value >> 1) ^ ((value & 1) != 0 ? 0xEDB88320u : 0u);
  }
  return ~value;
}

std::string png_of(std::uint32_t width, std::uint32_t height) {
  const auto chunk = [](const std::string& kind, const std::string& body) {
    return big_endian(static_cast<std::uint32_t>(body.size())) + kind + body + big_endian(crc(kind + body));
  };
  const std::string header = big_endian(width) + big_endian(height) + std::string("\x08\x02\0\0\0", 5);
  return "\x89PNG\r\n\x1a\n" + chunk("IHDR", header) + chunk("IDAT", "\x78\x9c\x03") + chunk("IEND", "");
}

// The fixture with other numbers in its frame header (SOF0: marker, length, precision, height, width).
std::string jpeg_of(std::uint32_t width, std::uint32_t height) {
  std::string bytes = contents_of(picture_file("rgb.jpg"));
  const auto at = bytes.find("\xff\xc0");
  return bytes.replace(at + 5, 4, big_endian(height, 2) + big_endian(width, 2));
}

// A lossless WebP that ends after its header: 14 bits each of width - 1 and height - 1.
std::string webp_of(std::uint32_t width, std::uint32_t height) {
  const std::string body =
      "\x2f" + weights::little<std::uint32_t>((width - 1) | ((height - 1) << 14)) + std::string(11, '\0');
  const auto size = static_cast<std::uint32_t>(body.size());
  return "RIFF" + weights::little<std::uint32_t>(size + 12) + "WEBPVP8L" + weights::little(size) + body;
}

// GIF: screen and first frame of this size, then nothing. BMP: a header of 40 bytes, 24 bits a pixel. TIFF: width,
// length, one sample of 8 bits.
std::string gif_of(std::uint16_t width, std::uint16_t height) {
  const std::string size = weights::little(width) + weights::little(height);
  return "GIF89a" + size + std::string("\x80\0\0\0\0\0\xff\xff\xff,\0\0\0\0", 14) + size +
         std::string("\0\2", 2);
}
std::string bmp_of(std::int32_t width, std::int32_t height) {
  return "BM" + weights::little<std::uint32_t>(54) + std::string(4, '\0') +
         weights::little<std::uint32_t>(54) + weights::little<std::uint32_t>(40) + weights::little(width) +
         weights::little(height) + std::string("\1\0\x18\0", 4) + std::string(24, '\0');
}
std::string tiff_of(std::uint32_t width, std::uint32_t height) {
  const auto entry = [](std::uint16_t tag, std::uint32_t value) {
    return weights::little(tag) + weights::little<std::uint16_t>(4) + weights::little<std::uint32_t>(1) +
           weights::little(value);
  };
  return std::string("II*\0", 4) + weights::little<std::uint32_t>(8) + weights::little<std::uint16_t>(7) +
         entry(256, width) + entry(257, height) + entry(258, 8) + entry(262, 1) + entry(273, 98) +
         entry(278, height) + entry(279, width * height) + std::string(4, '\0');
}

TEST(Damaged, OverLargeSizesAreRefusedBeforeAllocation) {
  const std::vector<std::pair<std::string, std::string>> cases = {
      {"16385×1", png_of(16'385, 1)},           {"1×16385", png_of(1, 16'385)},
      {"16000×16000", png_of(16'000, 16'000)},  {"60000×10", jpeg_of(60'000, 10)},
      {"16384×16384", jpeg_of(16'384, 16'384)}, {"16383×16383", webp_of(16'383, 16'383)},
      {"65535×65535", gif_of(65'535, 65'535)},  {"16384×16384", bmp_of(16'384, -16'384)},
      {"2147483647×1", bmp_of(0x7FFFFFFF, 1)},  {"65535×65535", tiff_of(65'535, 65'535)}};
  for (const auto& [size, bytes] : cases) {
    largest_request = 0;
    const auto message = error_of([&, &file = bytes] { decode_picture(as_bytes(file), "huge.bin"); });
    EXPECT_LT(largest_request.load(), 1u << 16) << size;
    EXPECT_THAT(message, IsOneSentenceAbout("huge.bin"));
    EXPECT_THAT(message, HasSubstr("is " + size + " pixels")) << message;
  }
  for (const std::string& bytes :
       {png_of(0xFFFFFFFFu, 1), png_of(0x7FFFFFFFu, 0x7FFFFFFFu), png_of(0, 5), jpeg_of(0, 0), gif_of(0, 7),
        bmp_of(-5, 5), bmp_of(5, 0), bmp_of(1, std::numeric_limits<std::int32_t>::min()), tiff_of(0, 3),
        tiff_of(0xFFFFFFFFu, 1)}) {
    largest_request = 0;
    EXPECT_THAT(error_of([&] { decode_picture(as_bytes(bytes), "huge.bin"); }),
                IsOneSentenceAbout("huge.bin"));
    EXPECT_LT(largest_request.load(), 1u << 16);
  }
}

TEST(Damaged, ReadingParametersNeedsNoMemoryForPixels) {
  for (const std::string& bytes : {png_of(9'000, 9'000), png_of(16'000, 16'000)}) {
    largest_request = 0;
    EXPECT_EQ(read_parameters(as_bytes(bytes), "large.png"), std::nullopt);
    EXPECT_LT(largest_request.load(), 1u << 16);
  }
}

// A truncated picture must not pass as a whole one with a grey lower half.
TEST(Damaged, EveryCutIsRefused) {
  for (const char* name : {"rgb.png", "palette-alpha.png", "interlaced.png", "rgb.jpg", "subsampled.jpg",
                           "progressive.jpg", "lossless.webp", "lossy.webp", "forms/cmyk.jpg",
                           "forms/interlaced.gif", "forms/palette.bmp", "forms/alpha.bmp", "forms/runs.bmp",
                           "forms/half-runs.bmp", "forms/raw.tiff", "forms/lzw.tiff", "forms/grey-16.tiff"}) {
    const std::string whole = contents_of(picture_file(name));
    // A JPEG's last bytes may be its end marker and padding, a PNG's the IEND chunk and the checksum before
    // it, a GIF's the end marker, a BMP's what fills up the last row.
    const std::size_t tail =
        std::string_view(name).ends_with("jpg")                                                    ? 8
        : std::string_view(name).ends_with("png")                                                  ? 20
        : std::string_view(name).ends_with("gif") || std::string_view(name) == "forms/palette.bmp" ? 2
                                                                                                   : 1;
    for (std::size_t size = 0; size + tail <= whole.size(); size += size < 700 ? 1 : 13) {
      const auto message =
          error_of([&] { decode_picture(as_bytes(std::string_view(whole).substr(0, size)), name); });
      EXPECT_THAT(message, IsOneSentenceAbout(name)) << size << " of " << whole.size();
    }
  }
}

TEST(Damaged, ALostEndMarkerLosesNoPixel) {
  const std::string whole = contents_of(picture_file("rgb.jpg"));
  ASSERT_TRUE(whole.ends_with("\xff\xd9"));
  EXPECT_EQ(decode_picture(as_bytes(std::string_view(whole).substr(0, whole.size() - 2)), "rgb.jpg"),
            load_picture(picture_file("rgb.jpg")));
}

// Any outcome but a crash, a foreign exception or a bad sentence; `make sanitize` looks at the memory.
TEST(Damaged, ChangedBytesGiveAPictureOrOneSentence) {
  std::mt19937 random(11);
  for (const char* name :
       {"palette-alpha.png",  "interlaced.png",      "text-itxt-packed.png",  "exif-over-text.png",
        "novelai.png",        "progressive.jpg",     "exif-unicode.jpg",      "exif-little.webp",
        "alpha.webp",         "forms/held-6.jpg",    "forms/held-6.webp",     "forms/held-profile.png",
        "forms/held-xmp.png", "forms/ycck.jpg",      "forms/transparent.gif", "forms/animated.gif",
        "forms/offset.gif",   "forms/core.bmp",      "forms/565.bmp",         "forms/alpha.bmp",
        "forms/runs.bmp",     "forms/half-runs.bmp", "forms/lzw.tiff",        "forms/jpeg.tiff",
        "forms/fax.tiff",     "forms/alpha.tiff",    "forms/pages.tiff",      "forms/big.tif",
        "forms/animated.webp"}) {
    const std::string whole = contents_of(picture_file(name));
    for (int round = 0; round < 200; ++round) {
      std::string bytes = whole;
      for (int i = 0; i < 1 + round % 4; ++i) bytes[random() % bytes.size()] = static_cast<char>(random());
      const auto decoding = error_of([&] { decode_picture(as_bytes(bytes), name); });
      const auto reading = error_of([&] { read_parameters(as_bytes(bytes), name); });
      for (const std::string& message : {decoding, reading}) {
        if (!message.empty()) {
          EXPECT_THAT(message, IsOneSentenceAbout(name));
        }
      }
    }
  }
}

}  // namespace
}  // namespace lowrank::image
