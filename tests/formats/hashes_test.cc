#include "formats/hashes.h"

#include <gtest/gtest.h>

#include "formats/crafted_models.h"
#include "formats/lora/lora_file.h"

namespace lowrank::formats {
namespace {

// The 68-byte file of the specification's worked example.
std::string example() {
  return weights::safetensors_bytes("{\"a\":{\"dtype\":\"F16\",\"shape\":[2],\"data_offsets\":[0,4]}}  ",
                                    std::string("\x00\x3c\x00\x40", 4));
}

TEST(Hashes, WorkedExampleOfTheSpecification) {
  const TemporaryFolder folder;
  const auto file = weights::TensorFile::open(folder.write("a.safetensors", example()));
  ASSERT_EQ(file->file_bytes().size(), 68u);
  EXPECT_EQ(addnet_hash(*file), "6b60ada811679b7b8aeee509afcdd89fde521eef8c3686639eb8c923d109c639");
  EXPECT_EQ(auto_v3(*file), "6b60ada81167");
  EXPECT_EQ(auto_v2(file->file_bytes()), "b145d4c154");
  EXPECT_EQ(auto_v1(file->file_bytes()), "e3b0c442");
  EXPECT_EQ(lora_short_hash(*file), "6b60ada81167");
}

TEST(Hashes, MetadataDoNotChangeTheAddnetHash) {
  const std::vector<Named> tensors = {{"lora_unet_x.lora_down.weight", {4, 4}, 1}};
  const TemporaryFolder folder;
  write_named(folder.path() / "a.safetensors", tensors);
  write_named(folder.path() / "b.safetensors", tensors, {{"ss_seed", "1"}});
  const auto a = weights::TensorFile::open(folder.path() / "a.safetensors"),
             b = weights::TensorFile::open(folder.path() / "b.safetensors");
  EXPECT_EQ(addnet_hash(*a), addnet_hash(*b));
  EXPECT_NE(auto_v2(a->file_bytes()), auto_v2(b->file_bytes()));
}

TEST(Hashes, StoredHashIsShownInLowerCase) {
  const TemporaryFolder folder;
  write_named(folder.path() / "a.safetensors", {{"x", {1}}}, {{"sshs_model_hash", "ABCDEF0123456789"}});
  EXPECT_EQ(lora_short_hash(*weights::TensorFile::open(folder.path() / "a.safetensors")), "abcdef012345");
  write_named(folder.path() / "b.safetensors", {{"x", {1}}}, {{"sshs_model_hash", "abc"}});
  const auto file = weights::TensorFile::open(folder.path() / "b.safetensors");
  EXPECT_EQ(lora_short_hash(*file), auto_v3(*file));
}

// LyCORIS 4.1.3 states "0x" and 64 digits of a hash of its own, other tools leave other texts there.
TEST(Hashes, AStatedHashThatIsNoAutoV3IsNotShownAsOne) {
  const TemporaryFolder folder;
  const auto path = folder.path() / "x.safetensors";
  for (const std::string& stated :
       {"0x" + std::string(64, 'b'), std::string("None"), std::string("not a hash at all")}) {
    write_named(path, {{"a", {2}}}, {{"sshs_model_hash", stated}});
    const auto file = weights::TensorFile::open(path);
    EXPECT_EQ(lora_short_hash(*file), auto_v3(*file)) << stated;
  }
  EXPECT_TRUE(states_auto_v3(std::string(64, 'b')));
}

TEST(Hashes, AutoV1LooksAtOneMebibyte) {
  // SHA-256 of 0x10000 zero bytes, by coreutils: de2f256064a0af79…
  std::string file(0x100000, 'x');
  EXPECT_EQ(auto_v1(weights::as_bytes(file + std::string(0x10000, '\0') + "rest")), "de2f2560");
  EXPECT_EQ(auto_v1(weights::as_bytes(file + "abc")), "ba7816bf");  // FIPS 180-2, "abc"
}

TEST(Hashes, ComparisonIgnoresCaseAndLength) {
  EXPECT_TRUE(same_hash("6B60ADA81167", "6b60ada811679b7b"));
  EXPECT_FALSE(same_hash("6b60ada81167", "6b60ada81168"));
  EXPECT_FALSE(same_hash("", "6b60ada81168"));
  EXPECT_FALSE(same_hash("6b6", "6b60ada81168"));
}

}  // namespace
}  // namespace lowrank::formats
