// Percent-encoding as RFC 3986 has it.
#include "base/text/percent.h"

#include <gtest/gtest.h>

namespace lowrank {
namespace {

TEST(Percent, Encodes) {
  EXPECT_EQ(percent_encode("a b/c~é", ""), "a%20b%2Fc%7E%C3%A9");
  EXPECT_EQ(percent_encode("a b/c~é", "/~"), "a%20b/c~%C3%A9");
  EXPECT_EQ(percent_encode("A-z_0.9", ""), "A-z_0.9");
}

TEST(Percent, Decodes) {
  EXPECT_EQ(percent_decode("a%20b%2fc%C3%A9+d"), "a b/cé+d");
  EXPECT_EQ(percent_decode("a+b%2B", true), "a b+");
  EXPECT_EQ(percent_decode("100%, %4, %zz, %"), "100%, %4, %zz, %");
  EXPECT_EQ(percent_decode(percent_encode("<lora:ü%+>\n", "")), "<lora:ü%+>\n");
}

}  // namespace
}  // namespace lowrank
