#include "library/lora_folder.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <unistd.h>

#include "base/atomic_file.h"
#include "base/error.h"
#include "library/data_dir.h"
#include "library/near_names.h"
#include "library/sidecar/lora_card.h"

namespace lowrank::library {
namespace {

namespace fs = std::filesystem;
using testing::ElementsAre;

class LoraFolderTest : public testing::Test {
 protected:
  void SetUp() override {
    root_ = fs::temp_directory_path() / ("lowrank_library_" + std::to_string(getpid()));
    fs::remove_all(root_);
    fs::create_directories(root_);
  }
  void TearDown() override { fs::remove_all(root_); }

  // A safetensors file without tensors whose metadata is `metadata` (JSON).
  void put(const std::string& relative, const std::string& metadata = "") {
    const std::string header = metadata.empty() ? "{}" : R"({"__metadata__":)" + metadata + "}";
    std::string bytes;
    for (int i = 0; i < 8; ++i) bytes += static_cast<char>(header.size() >> (8 * i) & 0xFF);
    write_file(root_ / relative, bytes + header);
  }
  LoraFolder scan() { return LoraFolder::scan(std::vector<fs::path>{root_}); }
  std::string found(const LoraFolder& folder, std::string_view name) {
    const auto path = folder.find(name);
    return path ? path->lexically_relative(root_).string() : "";
  }

  fs::path root_;
};

TEST_F(LoraFolderTest, ScansInNaturalOrderBelowTheFolder) {
  put("fox10.safetensors");
  put("fox2.safetensors");
  put("Style/3dmm.SafeTensors");
  write_file(root_ / "old.pt", "x");
  write_file(root_ / "notes.txt", "x");
  const auto folder = scan();
  std::vector<std::string> names;
  for (const auto& place : folder.files()) names.push_back(place.relative);
  EXPECT_THAT(names, ElementsAre("fox2", "fox10", "old", "Style/3dmm"));
}

// prompt.md §3.4, as A1111's list_available_networks: name and alias both lead to the file, case counts.
TEST_F(LoraFolderTest, FindsByNameAndAlias) {
  put("a.safetensors", R"({"ss_output_name":"red fox"})");
  const auto folder = scan();
  EXPECT_EQ(found(folder, "a"), "a.safetensors");
  EXPECT_EQ(found(folder, "red fox"), "a.safetensors");
  EXPECT_EQ(found(folder, "A"), "");
  EXPECT_EQ(found(folder, "Red fox"), "");
}

TEST_F(LoraFolderTest, AnAliasOfTwoFilesIsForbidden) {
  put("a.safetensors", R"({"ss_output_name":"Last"})");
  put("b.safetensors", R"({"ss_output_name":"Last"})");
  const auto folder = scan();
  EXPECT_TRUE(folder.is_forbidden("last"));
  EXPECT_EQ(found(folder, "Last"), "");
  EXPECT_EQ(found(folder, "a"), "a.safetensors");
}

// A forbidden alias still works as a file name.
TEST_F(LoraFolderTest, AForbiddenAliasIsSearchedAmongNames) {
  put("a.safetensors", R"({"ss_output_name":"c"})");
  put("b.safetensors", R"({"ss_output_name":"c"})");
  put("c.safetensors");
  EXPECT_EQ(found(scan(), "c"), "c.safetensors");
  put("none.safetensors", R"({"ss_output_name":"x"})");
  EXPECT_EQ(found(scan(), "none"), "none.safetensors");
}

TEST_F(LoraFolderTest, OfEqualNamesTheLastWinsAndPathsTellThemApart) {
  put("one/fox.safetensors");
  put("two/fox.safetensors");
  const auto folder = scan();
  EXPECT_EQ(found(folder, "fox"), "two/fox.safetensors");
  EXPECT_EQ(found(folder, "one/fox"), "one/fox.safetensors");
  EXPECT_EQ(found(folder, "one/fox.safetensors"), "one/fox.safetensors");
  EXPECT_THAT(folder.duplicates(), ElementsAre("fox"));
}

TEST_F(LoraFolderTest, AMissingNameIsToldWithItsNeighbours) {
  put("attention.safetensors");
  try {
    scan().resolve("attentio");
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), kNotFound);
    EXPECT_THAT(error.what(), testing::HasSubstr("did you mean attention?"));
  }
  fs::remove(root_ / "attention.safetensors");
  EXPECT_THROW(scan().resolve("x"), Error);
}

TEST_F(LoraFolderTest, BrokenFilesKeepTheirNames) {
  write_file(root_ / "empty.safetensors", "");
  write_file(root_ / "cut.safetensors", std::string("\x40\0\0\0\0\0\0\0{\"__metadata__\"", 23));
  write_file(root_ / "huge.safetensors", "\xff\xff\xff\xff\xff\xff\xff\xff{}");
  put("array.safetensors", R"([1,{"ss_output_name":"no"}])");
  put("nested.safetensors", R"({"a":{"ss_output_name":"no"},"ss_output_name":"yes"})");
  const auto folder = scan();
  EXPECT_EQ(folder.files().size(), 5u);
  for (const char* name : {"empty", "cut", "huge", "array", "nested", "yes"})
    EXPECT_NE(found(folder, name), "") << name;
  EXPECT_EQ(found(folder, "no"), "");
}

TEST_F(LoraFolderTest, AMissingFolderHoldsNothing) {
  EXPECT_TRUE(LoraFolder::scan(std::vector<fs::path>{root_ / "nothing", ""}).files().empty());
}

TEST_F(LoraFolderTest, CardsComeFromSidecarsThenMetadata) {
  put("fox.safetensors");
  write_file(root_ / "fox.json",
             R"({"activation text":"foxy","preferred weight":0.7,"sd version":"SD1","extra":[1]})");
  write_file(root_ / "fox.civitai.info", R"({"trainedWords":["foxy","red fur",3],"baseModel":"SD 1.5"})");
  write_file(root_ / "fox.txt", "A fox.\n");
  write_file(root_ / "fox.preview.png", "x");
  const LoraCard card =
      read_lora_card(root_ / "fox.safetensors",
                     {{"ss_tag_frequency", R"({"1_a":{"fur":2,"snow":1},"2_b":{" snow":4,"x":"y"}})"}});
  EXPECT_EQ(card.activation_text, "foxy");
  EXPECT_EQ(card.preferred_weight, 0.7);
  EXPECT_EQ(card.base_model, "SD1");
  EXPECT_EQ(card.description, "A fox.");
  EXPECT_EQ(card.preview.filename(), "fox.preview.png");
  EXPECT_THAT(card.trigger_words, ElementsAre("foxy", "red fur"));
  EXPECT_THAT(card.tags, ElementsAre(std::pair("snow", 5L), std::pair("fur", 2L)));
  EXPECT_TRUE(card.notes.empty());
}

TEST_F(LoraFolderTest, ABrokenSidecarIsNoted) {
  put("fox.safetensors");
  write_file(root_ / "fox.json", "[");
  EXPECT_EQ(read_lora_card(root_ / "fox.safetensors", {}).notes.size(), 1u);
}

TEST_F(LoraFolderTest, ADataFolderThatIsNamedMustExist) {
  EXPECT_EQ(find_data_dir(root_.string()).loras(), root_ / "models" / "Lora");
  EXPECT_THROW(find_data_dir((root_ / "nothing").string()), Error);
}

TEST(NearNames, DistancesAreThoseOfOptimalStringAlignment) {
  EXPECT_EQ(edit_distance("kitten", "sitting"), 3u);  // the textbook's example
  EXPECT_EQ(edit_distance("ca", "ac"), 1u);
  EXPECT_EQ(edit_distance("", "abc"), 3u);
}

TEST(NearNames, NearestFirst) {
  const std::vector<std::string> known = {"list", "show", "inspect"};
  EXPECT_THAT(near_names("lst", known), ElementsAre("list"));
  EXPECT_THAT(near_names("INSPECT", known), ElementsAre("inspect"));
  EXPECT_TRUE(near_names("zzzz", known).empty());
  EXPECT_EQ(did_you_mean("shw", known), " Did you mean show?");
}

}  // namespace
}  // namespace lowrank::library
