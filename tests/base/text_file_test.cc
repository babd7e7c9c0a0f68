#include "base/text/text_file.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/error.h"

namespace lowrank {
namespace {

using namespace std::string_literals;
using ::testing::AllOf;
using ::testing::HasSubstr;

std::string error_of(const std::string& bytes, const TextFileOptions& options = {}) {
  try {
    return "no error, but: " + decode_text(bytes, "a.txt", options);
  } catch (const Error& error) {
    return error.what();
  }
}

// The bytes are those that Python's codecs give for the text.
TEST(TextFile, AByteOrderMarkTellsTheEncoding) {
  const std::string text = "füchse 狐 😀";
  EXPECT_EQ(decode_text(text, "a.txt"), text);
  EXPECT_EQ(decode_text("\xef\xbb\xbf" + text, "a.txt"), text);
  EXPECT_EQ(decode_text("\xff\xfe"
                        "f\0\xfc\0c\0h\0s\0e\0 \0\xd0\x72 \0\x3d\xd8\0\xde"s,
                        "a.txt"),
            text);
  EXPECT_EQ(decode_text("\xfe\xff\0f\0\xfc\0c\0h\0s\0e\0 \x72\xd0\0 \xd8\x3d\xde\0"s, "a.txt"), text);
  EXPECT_EQ(decode_text("\xff\xfe\0\0f\0\0\0\xfc\0\0\0"s, "a.txt"), "fü");
  EXPECT_EQ(decode_text("\0\0\xfe\xff\0\0\0f\0\0\0\xfc"s, "a.txt"), "fü");
  EXPECT_EQ(decode_text("\xff\xfe", "a.txt"), "");
  EXPECT_EQ(decode_text("", "a.txt"), "");
}

TEST(TextFile, ANamedEncodingIsReadAndAMarkStillCounts) {
  EXPECT_EQ(decode_text("f\xfc"
                        "chse \x80\x93"s,
                        "a.txt", {.encoding = "cp1252"}),
            "füchse €“");
  EXPECT_EQ(decode_text("\x8c\xcf\x81\x40\x87\x40"s, "a.txt", {.encoding = "cp932"}), "狐　①");
  EXPECT_EQ(decode_text("\xba\xfc\xc0\xea"s, "a.txt", {.encoding = "gbk"}), "狐狸");
  EXPECT_EQ(decode_text("\xef\xbb\xbf\xc3\xbc", "a.txt", {.encoding = "cp1252"}), "ü");
  EXPECT_EQ(decode_text("\xe9", "a.txt", {.encoding = "latin-1"}), "é");
  EXPECT_EQ(decode_text("f\0o\0x\0"s, "a.txt", {.encoding = "utf-16le"}), "fox");
}

TEST(TextFile, WhatDoesNotFitIsRefusedWithItsPlace) {
  EXPECT_THAT(error_of("caf\xe9 au lait"), AllOf(HasSubstr("a.txt: byte 4 (0xe9)"), HasSubstr("UTF-8")));
  EXPECT_THAT(error_of("ab\xc3"), HasSubstr("byte 3 (0xc3)"));
  EXPECT_THAT(error_of("\xed\xa0\x80"), HasSubstr("byte 1"));
  EXPECT_THAT(error_of("\xc0\xaf"), HasSubstr("byte 1"));
  EXPECT_THAT(error_of("f\0o\0x\0"s), AllOf(HasSubstr("byte 2 is zero"), HasSubstr("UTF-16")));
  EXPECT_THAT(error_of("\xff\xfe"
                       "f\0o"s),
              HasSubstr("byte 5"));
  EXPECT_THAT(error_of("\xff\xfe\x3d\xd8"
                       "f\0"s),
              HasSubstr("byte 3"));
  EXPECT_THAT(error_of("ab\x81", {.encoding = "cp1252"}), HasSubstr("byte 3 (0x81) is not valid CP1252"));
  EXPECT_THAT(error_of("\xe9", {.remedy = "say its encoding"}), HasSubstr(", or say its encoding."));
  EXPECT_THAT(error_of(std::string(9000, 'x') + "\xe9"), HasSubstr("byte 9001"));
}

TEST(TextFile, UnknownEncodingsAreRefusedByName) {
  for (const char* name : {"", "klingon", "utf-8//IGNORE", "../x", "utf 8"}) {
    EXPECT_THROW(check_encoding(name, "--caption-encoding"), Error) << name;
  }
  for (const char* name :
       {"utf-8", "UTF8", "cp932", "shift_jis", "windows-1252", "latin-1", "gb18030", "koi8-r"})
    EXPECT_NO_THROW(check_encoding(name, "--caption-encoding")) << name;
}

}  // namespace
}  // namespace lowrank
