// The text in pictures: that of other programs, and ours out and in again.
#include <gtest/gtest.h>

#include "image/picture_files.h"

namespace lowrank::image {
namespace {

using ::testing::HasSubstr;

constexpr PictureFormat kFormats[] = {PictureFormat::kPng, PictureFormat::kJpeg, PictureFormat::kWebp};

std::optional<std::string> kept(PictureFormat format, const std::string& text) {
  const auto bytes = encode_picture(busy_picture(9, 7), {.format = format, .parameters = text});
  return read_parameters(as_bytes(bytes), "kept");
}

TEST(Parameters, OfOtherProgramsAreRead) {
  const auto cases = expected()["parameters"];
  ASSERT_GE(cases.size(), 25u);
  for (const auto& one : cases) {
    const auto name = one["file"].get<std::string>();
    const auto text = load_parameters(picture_file(name));
    // NovelAI's are read with other programs' settings, above this room.
    if (one["text"].is_null() || name == "novelai.png") {
      EXPECT_EQ(text, std::nullopt) << name;
    } else {
      EXPECT_EQ(text, one["text"].get<std::string>()) << name;
    }
  }
}

TEST(Parameters, RoundTrip) {
  const std::vector<std::string> texts = {
      "x",
      "two\nlines\n\nand a last one\n",
      "tab\tand \"quotes\", \\(brackets\\), <lora:a:1>",
      "café ÿ",
      "一",         // U+4E00: its low byte is zero
      "最 一刀　",  // more of them
      "Ā",
      "狐と少女 🦊🏽‍♀️ лиса ثعلب",
      std::string("a") + "\xF4\x8F\xBF\xBF",  // U+10FFFF
  };
  for (const auto format : kFormats) {
    EXPECT_EQ(kept(format, ""), std::nullopt);
    for (const auto& text : texts) EXPECT_EQ(kept(format, text), text) << static_cast<int>(format);
  }
}

TEST(Parameters, AHundredKilobytes) {
  std::string latin, world;
  while (latin.size() < 100'000) latin += "Steps: 20, Sampler: Euler a, café;\n";
  while (world.size() < 100'000) world += "лиса, 狐, fox 🦊\n";
  for (const auto format : {PictureFormat::kPng, PictureFormat::kWebp}) {
    EXPECT_EQ(kept(format, latin), latin);
    EXPECT_EQ(kept(format, world), world);
  }
  // A JPEG segment holds 65,533 bytes: 44 of TIFF, 6 and 8 of prefixes, two for each character.
  const std::string most((65'533 - 44 - 6 - 8) / 2, 'x');
  EXPECT_EQ(kept(PictureFormat::kJpeg, most), most);
  EXPECT_THAT(error_of([&] { kept(PictureFormat::kJpeg, most + "x"); }),
              HasSubstr("more than fit into a JPEG"));
}

// What is no UTF-8 is stored as U+FFFD, so that strict readers can open the file.
TEST(Parameters, IllFormedTextIsMended) {
  const std::string mark = "\xEF\xBF\xBD";
  for (const auto format : kFormats) {
    EXPECT_EQ(kept(format, "a\xFFz"), "a" + mark + "z");
    EXPECT_EQ(kept(format, "a\xC3"), "a" + mark);
  }
}

TEST(Parameters, AFileThatCannotHoldThemIsNamedAndNotWritten) {
  const TemporaryFolder folder;
  const auto path = folder.path() / "long.jpg";
  const auto message = error_of([&] {
    save_picture(path, busy_picture(8, 8),
                 {.format = PictureFormat::kJpeg, .parameters = std::string(100'000, 'x')});
  });
  EXPECT_THAT(message, IsOneSentenceAbout("long.jpg"));
  EXPECT_THAT(message, HasSubstr("use PNG or WebP"));
  EXPECT_FALSE(std::filesystem::exists(path));
}

// Chunks as the PNG specification lays them out: length, kind, body, checksum.
TEST(Parameters, ThePngChunkIsTheOneThatReadersExpect) {
  const auto chunk_of = [](const std::string& text) {
    const auto encoded = encode_picture(busy_picture(4, 4), {.parameters = text});
    const std::string bytes(encoded.begin(), encoded.end());
    std::string kinds, body;
    for (std::size_t at = 8; at + 12 <= bytes.size();) {
      std::size_t length = 0;
      for (std::size_t i = 0; i < 4; ++i) length = length << 8 | static_cast<unsigned char>(bytes[at + i]);
      const std::string kind = bytes.substr(at + 4, 4);
      kinds += kind + " ";
      if (kind == "tEXt" || kind == "iTXt") body = bytes.substr(at + 8, length);
      at += 12 + length;
    }
    return std::pair(kinds, body);
  };
  using namespace std::string_literals;
  EXPECT_EQ(chunk_of("café"), std::pair("IHDR tEXt IDAT IEND "s, "parameters\0caf\xE9"s));
  EXPECT_EQ(chunk_of("лиса"), std::pair("IHDR iTXt IDAT IEND "s, "parameters\0\0\0\0\0лиса"s));
  EXPECT_EQ(chunk_of(""), std::pair("IHDR IDAT IEND "s, ""s));
}

}  // namespace
}  // namespace lowrank::image
