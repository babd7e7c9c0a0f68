// UserComment of hand-made TIFF blocks, and the conversions of text.
#include "image/exif.h"

#include <gtest/gtest.h>

#include <string>

namespace lowrank::image {
namespace {

using namespace std::string_literals;

std::optional<std::string> comment_of(const std::string& tiff) {
  return comment_of_exif({reinterpret_cast<const std::uint8_t*>(tiff.data()), tiff.size()});
}

// Big-endian TIFF: IFD0 at 8 with the pointer to the Exif IFD at 26, whose one entry has the comment at 44.
std::string tiff_with(const std::string& comment) {
  const auto size = static_cast<char>(comment.size());
  return "MM\0\x2a\0\0\0\x08"s + "\0\x01\x87\x69\0\x04\0\0\0\x01\0\0\0\x1a\0\0\0\0"s +
         "\0\x01\x92\x86\0\x07\0\0\0"s + size + "\0\0\0\x2c\0\0\0\0"s + comment;
}

TEST(Exif, OursIsExactlyTheSmallestBlock) {
  const auto ours = exif_with_comment("a狐");
  EXPECT_EQ(std::string(ours.begin(), ours.end()), tiff_with("UNICODE\0\0a\x72\xd0"s));
}

TEST(Exif, Prefixes) {
  EXPECT_EQ(comment_of(tiff_with("UNICODE\0\0f\0o\0x"s)), "fox");
  EXPECT_EQ(comment_of(tiff_with("UNICODE\0f\0o\0x\0e\0s\0"s)), "foxes");
  EXPECT_EQ(comment_of(tiff_with("ASCII\0\0\0fox\0\0"s)), "fox");
  EXPECT_EQ(comment_of(tiff_with("a fox"s)), "a fox");
  EXPECT_EQ(comment_of("Exif\0\0"s + tiff_with("a fox"s)), "a fox");
  EXPECT_EQ(comment_of(tiff_with("\0\0\0\0\0\0\0\0fox"s)), "fox");  // the "undefined" prefix of EXIF 2.3
}

TEST(Exif, AnEmptyCommentIsNone) {
  for (const std::string& comment :
       {"UNICODE\0"s, "UNICODE\0\0\0"s, "ASCII\0\0\0"s, "\0\0\0\0\0\0\0\0"s, ""s})
    EXPECT_EQ(comment_of(tiff_with(comment)), std::nullopt) << comment.size();
}

// Every cut and every value of every byte: the answer may be anything, the sanitizers watch the reading.
TEST(Exif, DamagedBlocksStayInside) {
  const std::string whole = tiff_with("UNICODE\0\0f\0o\0x"s);
  for (std::size_t size = 0; size < whole.size(); ++size) {
    const std::string cut(whole.data(), size);
    EXPECT_EQ(comment_of(cut), std::nullopt) << size;
  }
  for (std::size_t at = 0; at < whole.size(); ++at) {
    for (int value = 0; value < 256; ++value) {
      std::string changed = whole;
      changed[at] = static_cast<char>(value);
      comment_of(changed);
    }
  }
}

TEST(Exif, TextIsAlwaysUtf8) {
  const std::string mark = "\xEF\xBF\xBD";
  EXPECT_EQ(comment_of(tiff_with("ASCII\0\0\0caf\xE9"s)), "caf" + mark);
  EXPECT_EQ(comment_of(tiff_with("UNICODE\0\xd8\x3d\0f\0o\0x"s)), mark + "fox");  // half a surrogate pair
  // Over-long forms, surrogates, beyond U+10FFFF: Unicode 15, table 3-7.
  for (const std::string& ill :
       {"\xC0\x81"s, "\xE0\x81\x81"s, "\xED\xA0\x80"s, "\xF0\x80\x81\x81"s, "\xF4\x90\x80\x80"s, "\xFF"s}) {
    EXPECT_EQ(utf8_to_latin1("a" + ill), std::nullopt);
    const auto exif = exif_with_comment("a" + ill + "z");
    const auto text = comment_of_exif(exif);
    ASSERT_TRUE(text.has_value());
    EXPECT_TRUE(text->starts_with("a" + mark) && text->ends_with(mark + "z")) << *text;
  }
}

TEST(Exif, Latin1) {
  EXPECT_EQ(latin1_to_utf8("caf\xE9 \xFF"), "café ÿ");
  EXPECT_EQ(utf8_to_latin1("café ÿ"), "caf\xE9 \xFF");
  EXPECT_EQ(utf8_to_latin1("Ā"), std::nullopt);
  EXPECT_EQ(utf8_to_latin1(""), "");
}

}  // namespace
}  // namespace lowrank::image
