#include "base/text/utf8.h"

#include <gtest/gtest.h>

#include <string>

namespace lowrank {
namespace {

using namespace std::string_literals;

const std::string kMark = "\xEF\xBF\xBD";

// RFC 3629, section 7.
TEST(Utf8, TheExamplesOfItsDefinitionAreReadAndWritten) {
  const std::string text = "A\xE2\x89\xA2\xCE\x91\xED\x95\x9C\xF0\xA3\x8E\xB4";
  std::u32string codes;
  std::string written;
  for (std::size_t at = 0; at < text.size();) {
    const Decoded c = decode_at(text, at);
    codes += c.code;
    append_utf8(written, c.code);
    at += c.length;
  }
  EXPECT_EQ(codes, U"A\u2262\u0391\uD55C\U000233B4");
  EXPECT_EQ(written, text);
}

TEST(Utf8, EveryScalarValueComesBack) {
  for (char32_t code = 0; code <= 0x10FFFF; ++code) {
    std::string text;
    append_utf8(text, code);
    const bool is_surrogate = code >= 0xD800 && code <= 0xDFFF;
    ASSERT_EQ(decode_at(text, 0).code, is_surrogate ? U'\uFFFD' : code);
    ASSERT_EQ(decode_at(text, 0).length, text.size());
  }
  std::string beyond;
  append_utf8(beyond, 0x110000);
  EXPECT_EQ(beyond, kMark);
}

// Unicode 15, table 3-7: what lies outside of its rows, and characters that are cut short.
TEST(Utf8, IllFormedBytesAreFoundAndReplaced) {
  for (const std::string& ill :
       {"\x80"s, "\xC0\x80"s, "\xC1\xBF"s, "\xE0\x9F\xBF"s, "\xED\xA0\x80"s, "\xF0\x8F\xBF\xBF"s,
        "\xF4\x90\x80\x80"s, "\xF5\x80\x80\x80"s, "\xFF"s, "\xC3"s, "\xE2\x89"s, "\xF0\xA3\x8E"s}) {
    EXPECT_FALSE(is_utf8(ill));
    EXPECT_EQ(find_ill_formed("aü" + ill + "z"), 3u);
    std::string marks;
    for (std::size_t i = 0; i < ill.size(); ++i) marks += kMark;
    EXPECT_EQ(mended_utf8("aü" + ill + "z"), "aü" + marks + "z");
  }
  EXPECT_EQ(find_ill_formed("a" + kMark), std::string::npos) << "the mark itself is a character";
  EXPECT_EQ(mended_utf8("a\0b"s), "a\0b"s);
  EXPECT_TRUE(is_utf8(""));
}

}  // namespace
}  // namespace lowrank
