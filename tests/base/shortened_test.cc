#include "base/text/shortened.h"

#include <gtest/gtest.h>

#include <string>

#include "base/text/utf8.h"

namespace lowrank {
namespace {

TEST(Shortened, ALongTextIsCutBetweenCharacters) {
  EXPECT_EQ(shortened("fox"), "fox");
  EXPECT_EQ(shortened(std::string(80, 'x')), std::string(80, 'x'));
  EXPECT_EQ(shortened(std::string(81, 'x')), std::string(80, 'x') + "…");
  EXPECT_EQ(shortened("aüöä", 4), "aü…") << "the third character ends at byte 5";
  for (std::size_t most = 0; most < 12; ++most) {
    const std::string cut = shortened("a\xE2\x89\xA2\xF0\xA3\x8E\xB4ü!?", most);
    EXPECT_TRUE(is_utf8(cut)) << most;
    EXPECT_LE(cut.size(), most + std::string("…").size());
  }
  EXPECT_EQ(shortened("\xFF\xFF\xFF", 2), "\xFF\xFF…") << "an ill-formed byte counts as one";
}

}  // namespace
}  // namespace lowrank
