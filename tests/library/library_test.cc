// The index against files that are made, changed, renamed and removed under it.
#include "library/library.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sqlite3.h>
#include <unistd.h>

#include <cstdlib>
#include <fstream>

#include "base/atomic_file.h"
#include "base/error.h"
#include "base/sha256.h"
#include "base/text/text.h"
#include "formats/lora/lora_file.h"
#include "library/fit_words.h"
#include "library/index/open_index.h"
#include "library/index/state_dir.h"
#include "library/lora_words.h"
#include "library/needed_files.h"
#include "library/sidecar/card_edit.h"
#include "prompt/grammar/extra_networks.h"
#include "prompt/styles.h"

namespace lowrank::library {
namespace {

namespace fs = std::filesystem;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

class LibraryTest : public testing::Test {
 protected:
  void SetUp() override {
    root_ = fs::temp_directory_path() / ("lowrank_index_" + std::to_string(getpid()));
    fs::remove_all(root_);
    fs::create_directories(root_ / "data/models/Lora");
    setenv("LOWRANK_INDEX", (root_ / "index.sqlite").c_str(), 1);
    setenv("XDG_DATA_HOME", (root_ / "home").c_str(), 1);
  }
  void TearDown() override { fs::remove_all(root_); }

  fs::path lora(const std::string& relative) const { return root_ / "data/models/Lora" / relative; }
  DataDir data() const { return {.root = root_ / "data", .starter = {}}; }
  Library open() const { return Library::open(data()); }

  // A LoRA of one module; `fill` makes its tensors differ. Written from the format's description.
  std::string bytes(const std::string& metadata = "{}", char fill = 1, int cross = 768) const {
    const std::string module = "lora_unet_down_blocks_0_attentions_0_transformer_blocks_0_attn2_to_k";
    std::string header = R"({"__metadata__":)" + metadata + R"(,")" + module +
                         R"(.lora_down.weight":{"dtype":"F16","shape":[2,)" + std::to_string(cross) +
                         R"(],"data_offsets":[0,)" + std::to_string(4 * cross) + R"(]},")" + module +
                         R"(.lora_up.weight":{"dtype":"F16","shape":[320,2],"data_offsets":[)" +
                         std::to_string(4 * cross) + "," + std::to_string(4 * cross + 1280) + "]}}";
    std::string text;
    for (int i = 0; i < 8; ++i) text += static_cast<char>(header.size() >> (8 * i) & 0xFF);
    return text + header + std::string(static_cast<std::size_t>(4 * cross + 1280), fill);
  }
  void put(const std::string& relative, const std::string& content) const {
    write_file(lora(relative), content);
  }
  static std::vector<std::string> names(const std::vector<Record>& records) {
    std::vector<std::string> out;
    for (const auto& record : records) out.push_back(Library::relative_name(record));
    return out;
  }
  static std::string found(const Library& library, std::string_view name) {
    const auto lora = library.find_lora(name);
    return lora ? Library::relative_name(lora->record) + " by " + lora->how : "";
  }
  static Record hashed(const Library& library, const std::string& name) {
    Record record = library.resolve(name).record;
    std::string problem;
    EXPECT_TRUE(library.hash(record, problem)) << problem;
    return record;
  }

  fs::path root_;
};

TEST_F(LibraryTest, ReadsFamilyKindRankAndCardOfEachFile) {
  put("a/fox.safetensors",
      bytes(R"({"ss_tag_frequency":"{\"1_a\":{\"red fox\":5}}","modelspec.title":"Fox"})"));
  put("b.safetensors", bytes("{}", 1, 2048));
  const auto records = open().find({});
  ASSERT_THAT(names(records), ElementsAre("a/fox", "b"));
  EXPECT_EQ(records[0].architecture, "SD1");
  EXPECT_EQ(records[0].kinds, "LoRA");
  EXPECT_EQ(records[0].rank_high, 2);
  EXPECT_EQ(records[0].title, "Fox");
  EXPECT_EQ(records[0].caption_tags, R"([["red fox",5]])");
  EXPECT_EQ(records[1].architecture, "SDXL");
  EXPECT_EQ(records[1].cross_width, 2048);
}

// A list of metadata opens no file: they come from the index, in A1111's form and order, and go with their file.
TEST_F(LibraryTest, MetadataAreInTheIndex) {
  const std::string long_text(100'000, 'x');
  put("a.safetensors",
      bytes(
          R"({"zz":"last","ss_clip_skip":"2","ssmd_cover_images":"[]","ss_tag_frequency":"{\"f\":{\"b\":2,\"a\":1}}","long":")" +
          long_text + R"("})"));
  put("b.safetensors", bytes());
  put("broken.safetensors", bytes(R"({"k":"v"})").substr(0, 2000));
  Library library = open();
  const Query query{.with_metadata = true};
  for (const char* name : {"a", "b", "broken"})
    fs::rename(lora(std::string(name) + ".safetensors"), root_ / name);
  const auto records = library.find(query);
  ASSERT_THAT(names(records), ElementsAre("a", "b", "broken"));
  EXPECT_EQ(records[0].metadata, R"({"ss_clip_skip":"2","ss_tag_frequency":{"f":{"b":2,"a":1}},"long":")" +
                                     long_text + R"(","zz":"last"})");
  EXPECT_EQ(records[1].metadata, "{}");
  EXPECT_EQ(records[2].metadata, R"({"k":"v"})");
  EXPECT_EQ(library.find({})[0].metadata, "");
  library.rescan();
  EXPECT_THAT(library.find(query), IsEmpty());
  put("a.safetensors", bytes(R"({"new":"1"})"));
  library.rescan();
  EXPECT_EQ(library.find(query)[0].metadata, R"({"new":"1"})");
}

// Nothing behind it is seen, so it must not be passed over in silence; what the link stands for is told once.
TEST_F(LibraryTest, LinksThatLeadNowhereAreTold) {
  put("a.safetensors", bytes());
  fs::create_directory_symlink("no/such/drive", lora("away"));
  fs::create_symlink("loop.safetensors", lora("loop.safetensors"));
  fs::create_symlink("gone.png", lora("a.png"));  // a preview that is missing hides no LoRA
  const auto library = open();
  EXPECT_THAT(names(library.find({})), ElementsAre("a"));
  EXPECT_THAT(
      library.last_scan().problems,
      testing::UnorderedElementsAre(HasSubstr(lora("away").string() + ": is a broken link"),
                                    HasSubstr(lora("loop.safetensors").string() + ": is a broken link")));
}

TEST_F(LibraryTest, ReadsOnlyWhatIsNewOrChanged) {
  put("a.safetensors", bytes());
  put("sub/b.safetensors", bytes());
  EXPECT_EQ(open().last_scan().read, 2);
  EXPECT_EQ(open().last_scan().changed_folders, 0);
  put("sub/b.safetensors", bytes("{}", 2, 1024));
  const auto library = open();
  EXPECT_EQ(library.last_scan().read, 1);
  EXPECT_EQ(library.last_scan().changed_folders, 1);
  EXPECT_EQ(library.resolve("b").record.architecture, "SD2");
}

// A1111 writes its sidecars in place, which leaves the folder's own date alone.
TEST_F(LibraryTest, ASidecarWrittenInPlaceIsSeen) {
  put("a.safetensors", bytes());
  put("a.json", R"({"activation text":"one"})");
  EXPECT_EQ(open().resolve("a").record.activation, "one");
  std::ofstream(lora("a.json"), std::ios::trunc) << R"({"activation text":"three"})";
  EXPECT_EQ(open().resolve("a").record.activation, "three");
}

TEST_F(LibraryTest, ARenameIsFollowedAndKeepsHashesAndSidecars) {
  put("old.safetensors", bytes());
  put("old.json", R"({"notes":"mine","rating":4})");
  const std::string sha = hashed(open(), "old").sha256;
  fs::create_directories(lora("new place"));
  fs::rename(lora("old.safetensors"), lora("new place/vulpes.safetensors"));
  const auto library = open();
  EXPECT_EQ(library.last_scan().renamed, 1);
  EXPECT_EQ(found(library, "old"), "new place/vulpes by former name");
  const Record record = library.resolve("vulpes").record;
  EXPECT_EQ(record.sha256, sha);
  EXPECT_EQ(record.notes, "mine");
  EXPECT_EQ(record.rating, 4);
  EXPECT_THAT(library.former_names(record), ElementsAre("old"));
  EXPECT_THAT(library.gone(), IsEmpty());
}

// A move to another disk makes a new inode and perhaps a new date: only the content tells.
TEST_F(LibraryTest, AMoveAcrossDisksIsFollowedByHash) {
  put("old.safetensors", bytes());
  hashed(open(), "old");
  fs::remove(lora("old.safetensors"));
  EXPECT_EQ(open().last_scan().gone, 1);
  put("other.safetensors", bytes("{}", 7));  // same size, other bytes
  put("new.safetensors", bytes());
  const auto library = open();
  EXPECT_EQ(library.last_scan().renamed, 1);
  EXPECT_EQ(found(library, "old"), "new by former name");
}

TEST_F(LibraryTest, AFileThatComesBackKeepsItsHash) {
  put("a.safetensors", bytes());
  const std::string sha = hashed(open(), "a").sha256;
  fs::rename(lora("a.safetensors"), root_ / "elsewhere");
  EXPECT_THAT(names(open().gone()), ElementsAre("a"));
  fs::rename(root_ / "elsewhere", lora("a.safetensors"));
  EXPECT_EQ(open().resolve("a").record.sha256, sha);
}

TEST_F(LibraryTest, HashesAreForgottenWithTheContent) {
  put("a.safetensors", bytes());
  hashed(open(), "a");
  put("a.safetensors", bytes("{}", 9));
  EXPECT_EQ(open().resolve("a").record.sha256, "");
}

// The worked file of the formats' description: 68 bytes, SHA-256 b145d4c1…, tensors 6b60ada8…, nothing at 1
// MB.
TEST_F(LibraryTest, HashesEqualTheWorkedValuesAndNothingHasNone) {
  std::string file("\x38\0\0\0\0\0\0\0{\"a\":{\"dtype\":\"F16\",\"shape\":[2],\"data_offsets\":[0,4]}}  ",
                   64);
  file += std::string("\0\x3c\0\x40", 4);
  put("worked.safetensors", file);
  const FileHashes hashes = hash_file(lora("worked.safetensors"));
  EXPECT_EQ(hashes.sha256, "b145d4c154796c1a0e38ef561ae175a6fc7a49ca5c502f1eba4e518211a74222");
  EXPECT_EQ(hashes.addnet, "6b60ada811679b7b8aeee509afcdd89fde521eef8c3686639eb8c923d109c639");
  EXPECT_EQ(hashes.autov1, "");
  put("empty.safetensors", "");
  EXPECT_EQ(hash_file(lora("empty.safetensors")).sha256, "");
  put("headeronly.safetensors", std::string("\x02\0\0\0\0\0\0\0{}", 10));
  EXPECT_EQ(hash_file(lora("headeronly.safetensors")).addnet, "");
}

TEST_F(LibraryTest, AHardLinkIsNotHashedTwice) {
  put("a.safetensors", bytes());
  fs::create_hard_link(lora("a.safetensors"), lora("b.safetensors"));
  const auto library = open();
  Record a = hashed(library, "a"), b = library.resolve("b").record;
  // Were the file read again, this would find it gone.
  fs::rename(lora("a.safetensors"), root_ / "x");
  std::ofstream(lora("a.safetensors")) << "other";
  std::string problem;
  ASSERT_TRUE(library.hash(b, problem)) << problem;
  EXPECT_EQ(b.sha256, a.sha256);
}

TEST_F(LibraryTest, FindsByEveryHash) {
  put("fox.safetensors",
      bytes(R"({"sshs_model_hash":"00112233445566778899aabbccddeeff00112233445566778899AABBCCDDEEFF"})"));
  const auto library = open();
  EXPECT_EQ(found(library, "001122334455"), "fox by hash");  // stated in the metadata: no hashing needed
  const Record record = hashed(library, "fox");
  for (const std::string& hash : {record.sha256, record.sha256.substr(0, 10), record.addnet.substr(0, 12)})
    EXPECT_EQ(found(library, hash), "fox by hash") << hash;
  std::string upper = record.sha256;
  for (char& c : upper) c = static_cast<char>(std::toupper(c));
  EXPECT_EQ(found(library, upper), "fox by hash");
  EXPECT_EQ(found(library, record.sha256.substr(0, 7)), "");
  EXPECT_EQ(found(library, "0011223344_5"), "");
}

// prompt.md §3.4; the same cases as for LoraFolder, through the index.
TEST_F(LibraryTest, NamesFollowA1111) {
  put("one/fox.safetensors", bytes(R"({"ss_output_name":"Last"})"));
  put("two/fox.safetensors", bytes());
  put("three.safetensors", bytes(R"({"ss_output_name":"Last"})"));
  put("four.safetensors", bytes(R"({"ss_output_name":"vier"})"));
  const auto library = open();
  EXPECT_EQ(found(library, "fox"), "two/fox by name");
  EXPECT_EQ(found(library, "one/fox"), "one/fox by path");
  EXPECT_EQ(found(library, "one/fox.safetensors"), "one/fox by path");
  EXPECT_EQ(found(library, "vier"), "four by alias");
  EXPECT_EQ(found(library, "Vier"), "");
  EXPECT_EQ(found(library, "Last"), "");
  const auto conflicts = library.conflicts();
  ASSERT_EQ(conflicts.size(), 2u);
  EXPECT_EQ(conflicts[0].name, "Last");
  EXPECT_FALSE(conflicts[0].winner);
  EXPECT_EQ(conflicts[1].name, "fox");
  EXPECT_TRUE(conflicts[1].winner);
}

TEST_F(LibraryTest, AMissingNameIsToldWithItsNeighbours) {
  put("attention.safetensors", bytes());
  try {
    open().resolve("attentio");
    FAIL();
  } catch (const Error& error) {
    EXPECT_THAT(error.what(), HasSubstr("did you mean attention?"));
  }
}

TEST_F(LibraryTest, DuplicatesAreFilesAndTensors) {
  put("a.safetensors", bytes());
  put("b.safetensors", bytes());
  put("c.safetensors", bytes(R"({"x":"y"})"));
  const auto library = open();
  EXPECT_THAT(names(library.suspects()), ElementsAre("a", "b"));
  for (const char* name : {"a", "b", "c"}) hashed(library, name);
  const auto groups = library.duplicates();
  ASSERT_EQ(groups.size(), 2u);
  EXPECT_TRUE(groups[0].is_whole_file);
  EXPECT_THAT(names(groups[0].files), ElementsAre("a", "b"));
  EXPECT_FALSE(groups[1].is_whole_file);
  EXPECT_THAT(names(groups[1].files), ElementsAre("a", "b", "c"));
}

// Civitai Helper's sidecars hold the site's "baseModel"; the keys of bytes() are those of SD 1.x.
TEST_F(LibraryTest, SubfamiliesAreFilteredCountedAndSetByTheUser) {
  put("a.safetensors", bytes());
  put("a.civitai.info", R"({"baseModel": "SD 1.5 LCM"})");
  put("b.safetensors", bytes());
  put("b.civitai.info", R"({"baseModel": "Pony"})");
  put("c.safetensors", bytes());
  auto library = open();
  EXPECT_THAT(names(library.find({.subfamily = "sd 1.5 lcm"})), ElementsAre("a"));
  EXPECT_THAT(names(library.find({.subfamily = "none"})), ElementsAre("c"));
  const Record wrong = library.resolve("b").record;
  EXPECT_EQ(wrong.subfamily, "Pony");
  EXPECT_EQ(wrong.subfamily_origin, "site");
  EXPECT_EQ(wrong.subfamily_conflict, "Pony is a kind of SDXL, but its layers are those of SD 1.x");
  EXPECT_EQ(library.facets(1).subfamilies.size(), 3u);
  edit_card(lora("b.safetensors"), {.subfamily = "SD 1.5 Hyper"}, {});
  library.reread(wrong);
  const Record right = library.resolve("b").record;
  EXPECT_EQ(right.subfamily, "SD 1.5 Hyper");
  EXPECT_EQ(right.subfamily_origin, "user");
  EXPECT_EQ(right.subfamily_conflict, "");
  edit_card(lora("b.safetensors"), {.subfamily = ""}, {});
  library.reread(right);
  EXPECT_EQ(library.resolve("b").record.subfamily, "Pony");
}

TEST_F(LibraryTest, ARefusedLoraNamesTheCheckpointsThatItFits) {
  const fs::path fixtures(LOWRANK_TEST_FIXTURES), models = root_ / "data/models/Stable-diffusion";
  fs::create_directories(models / "xl");
  for (const auto& [name, file] : {std::pair("tiny", "sd15-tiny/sd15-tiny.safetensors"),
                                   {"xl/one", "sdxl-tiny/sdxl-tiny.safetensors"},
                                   {"xl/two", "sdxl-tiny/sdxl-tiny.safetensors"},
                                   {"two", "sd2-tiny/sd2-tiny.safetensors"}})
    fs::create_symlink(fixtures / file, models / (std::string(name) + ".safetensors"));
  put("broken.safetensors", "");
  fs::rename(lora("broken.safetensors"), models / "broken.safetensors");
  const fs::path xl = fixtures / "sdxl-tiny/sdxl-tiny-lora_kohya.safetensors";
  fs::create_symlink(xl, lora("xl.safetensors"));
  put("wide.safetensors", bytes());  // for SD 1.x' 768, which none of them has
  const auto library = open();
  FittingCheckpoints others(library);
  const Record record = library.resolve("xl").record;
  EXPECT_THAT(others.of(record), ElementsAre("one", "two"));
  EXPECT_THAT(others.of(formats::open_lora(xl)), ElementsAre("one", "two"));
  EXPECT_THAT(others.of(library.resolve("wide").record), IsEmpty());
  const fs::path tiny = models / "tiny.safetensors";
  Fitting fitting{"tiny", library.fitting_layouts(library.fit_of(tiny)), "SD1", ""};
  EXPECT_EQ(misfit_text(record, fitting, others),
            "Made for SDXL; 'tiny' is an SD 1.x checkpoint. These of your checkpoints fit: one, two.");
  fitting = {"one", library.fitting_layouts(library.fit_of(models / "xl/one.safetensors")), "SDXL", ""};
  EXPECT_EQ(misfit_text(record, fitting, others), "");
  EXPECT_THAT(misfit_text(library.resolve("wide").record, fitting, others),
              HasSubstr("None of your checkpoints fits."));
}

TEST_F(LibraryTest, CheckpointsHaveASizeAndASubfamily) {
  const fs::path fixtures(LOWRANK_TEST_FIXTURES), models = root_ / "data/models/Stable-diffusion";
  fs::create_directories(models);
  fs::create_symlink(fixtures / "sdxl-tiny/sdxl-tiny.safetensors", models / "ponyFoxXL.safetensors");
  fs::create_symlink(fixtures / "sd2-tiny/sd2-tiny.safetensors", models / "two.safetensors");
  auto library = open();
  const Record pony = library.checkpoint_record(models / "ponyFoxXL.safetensors").value();
  EXPECT_EQ(pony.subfamily, "Pony");
  EXPECT_EQ(pony.native_size, 1024);
  EXPECT_EQ(library.checkpoint_record(models / "two.safetensors").value().native_size, 768);
  edit_card(models / "ponyFoxXL.safetensors", {.subfamily = "none"}, {});
  library.reread(pony);
  EXPECT_EQ(library.checkpoint_record(models / "ponyFoxXL.safetensors").value().subfamily, "");
  EXPECT_EQ(library.checkpoint_records().size(), 2u);
}

TEST_F(LibraryTest, FitsAreTheEnginesVerdictAndAreJudgedOncePerLayout) {
  const fs::path tiny = fs::path(LOWRANK_TEST_FIXTURES) / "sd15-tiny";
  const fs::path checkpoint = tiny / "sd15-tiny.safetensors";
  put("wide.safetensors", bytes());  // for a text encoder of 768, the checkpoint's is 64
  for (const char* name : {"lora_attn", "lora_te", "loha_attn"})
    put(std::string(name) + ".safetensors",
        read_file(tiny / fmt::format("sd15-tiny-{}.safetensors", name), 1 << 24));
  put("copy.safetensors", read_file(tiny / "sd15-tiny-lora_attn.safetensors", 1 << 24));
  const auto library = open();
  const Fit fit = library.fit_of(checkpoint);
  EXPECT_EQ(fit.text_widths, (formats::TextWidths{{formats::Component::kTextEncoder, 64}}));
  EXPECT_THAT(names(library.find({.fits = fit})), ElementsAre("copy", "loha_attn", "lora_attn", "lora_te"));
  EXPECT_EQ(library.fitting_layouts(fit).size(), 3u);  // two are of one layout
  const auto version = library.version();
  EXPECT_EQ(library.fit_of(checkpoint).model, fit.model);
  EXPECT_EQ(library.version(), version);  // nothing was judged again
}

TEST_F(LibraryTest, FiltersNarrow) {
  put("style/soft.safetensors", bytes(R"({"ss_tag_frequency":"{\"1_a\":{\"snow\":5,\"Red Fox\":2}}"})"));
  put("hat.safetensors", bytes("{}", 1, 2048));
  put("hat.json",
      R"({"type":"clothing","rating":3,"activation text":"wearing a hat","tags":["head wear"],"notes":"very nice"})");
  put("hat.civitai.info",
      R"({"baseModel":"Pony","trainedWords":["hat","a hat"],"model":{"name":"Hats","tags":["style"]}})");
  put("broken.safetensors", "no");
  const auto library = open();
  EXPECT_THAT(names(library.find({.words = "nic"})), ElementsAre("hat"));
  EXPECT_THAT(names(library.find({.words = "red fo"})), ElementsAre("style/soft"));
  EXPECT_THAT(names(library.find({.words = "\" OR * ( AND"})), IsEmpty());
  EXPECT_THAT(names(library.find({.type = "style"})), ElementsAre("style/soft"));
  EXPECT_THAT(names(library.find({.type = "clothing"})), ElementsAre("hat"));
  EXPECT_THAT(names(library.find({.base_model = "pony"})), ElementsAre("hat"));
  EXPECT_THAT(names(library.find({.base_model = "SDXL"})), ElementsAre("hat"));
  EXPECT_THAT(names(library.find({.tag = "red fox"})), ElementsAre("style/soft"));
  EXPECT_THAT(names(library.find({.tag = "red"})), IsEmpty());
  EXPECT_THAT(names(library.find({.tag = "head wear"})), ElementsAre("hat"));
  EXPECT_THAT(names(library.find({.trigger = "A Hat"})), ElementsAre("hat"));
  EXPECT_THAT(names(library.find({.min_rating = 3})), ElementsAre("hat"));
  EXPECT_THAT(names(library.find({.max_bytes = 100})), ElementsAre("broken"));
  EXPECT_THAT(names(library.find({.only_usable = true, .limit = 1})), ElementsAre("hat"));
  EXPECT_THAT(names(library.find({.until = 1000})), IsEmpty());
}

TEST_F(LibraryTest, WordsInsideANameAreFound) {
  put("RedFox_v2SDXLBase10.safetensors", bytes());
  const auto library = open();
  for (const char* words : {"fox", "red", "RedFox", "redfox_v2", "sdxl", "base", "10", "fox red", "bas"})
    EXPECT_EQ(library.count({.words = words}), 1) << words;
  for (const char* words : {"ox", "edfox", "v3"}) EXPECT_EQ(library.count({.words = words}), 0) << words;
}

TEST_F(LibraryTest, MisspeltWordsFindWhatComesNear) {
  for (const char* name : {"object_umbrella", "character_zorbo", "clothing_top_hat", "pose/Waterfall"})
    put(std::string(name) + ".safetensors", bytes());
  const auto library = open();
  const auto near = [&](const char* words) {
    const std::string match = library.near_words(words).match;
    return match.empty() ? std::vector<std::string>()
                         : names(library.find({.match = match, .sort = SortBy::kName}));
  };
  EXPECT_THAT(near("umbrela"), ElementsAre("object_umbrella"));
  EXPECT_THAT(near("umberlla"), ElementsAre("object_umbrella"));
  EXPECT_THAT(near("zobro"), ElementsAre("character_zorbo"));  // neighbours swapped
  EXPECT_THAT(near("mbrella"), ElementsAre("object_umbrella"));
  EXPECT_THAT(near("watrefall pose"), ElementsAre("pose/Waterfall"));
  EXPECT_THAT(near("tophat"), ElementsAre("clothing_top_hat"));
  EXPECT_THAT(near("charcter zorbo"), ElementsAre("character_zorbo"));
  EXPECT_THAT(near("umbrxll"), ElementsAre("object_umbrella"));  // the beginning, misspelt
  EXPECT_THAT(library.near_words("umbrela").words, ElementsAre("umbrella"));
  // What is spelt as in the collection is not misspelt, and what is far from everything finds nothing.
  for (const char* words : {"umbrella zorbo", "zor", "xyz", "quaternion", "\"*", ""})
    EXPECT_EQ(library.near_words(words).match, "") << words;
}

TEST_F(LibraryTest, OrderByNameDoesNotHeedFolders) {
  for (const char* name : {"z/apple", "a/pear2", "a/pear10", "Banana", "b/cherry"})
    put(std::string(name) + ".safetensors", bytes());
  const auto library = open();
  EXPECT_THAT(names(library.find({.sort = SortBy::kName})),
              ElementsAre("z/apple", "Banana", "b/cherry", "a/pear2", "a/pear10"));
  std::int64_t total = 0;
  EXPECT_THAT(names(library.find({.sort = SortBy::kName, .limit = 2, .offset = 1}, &total)),
              ElementsAre("Banana", "b/cherry"));
  EXPECT_EQ(total, 5);
  // A1111's order is that of its scan.
  EXPECT_THAT(names(library.find({})), ElementsAre("a/pear2", "a/pear10", "b/cherry", "Banana", "z/apple"));
}

TEST_F(LibraryTest, AFolderHoldsAllBelowIt) {
  for (const char* name : {"people/men/tom", "people/eve", "people2/x", "top"})
    put(std::string(name) + ".safetensors", bytes());
  const auto library = open();
  const auto in = [&](const char* folder) {
    return names(library.find({.folder = folder, .sort = SortBy::kName}));
  };
  EXPECT_THAT(in("people"), ElementsAre("people/eve", "people/men/tom"));
  EXPECT_THAT(in("people/men"), ElementsAre("people/men/tom"));
  EXPECT_THAT(in("."), ElementsAre("top"));
  EXPECT_THAT(in("peop"), IsEmpty());
  std::vector<std::string> folders;
  for (const auto& [folder, count] : library.facets(1).folders)
    folders.push_back(folder + " " + std::to_string(count));
  EXPECT_THAT(folders, ElementsAre(" 1", "people 2", "people/men 1", "people2 1"));
}

TEST_F(LibraryTest, FilesOfAStartersNameAreToldApart) {
  write_file(root_ / "starter/lora/pose.safetensors", bytes("{}", 1));
  write_file(root_ / "starter/lora/hat.safetensors", bytes("{}", 2));
  put("sub/pose.safetensors", bytes("{}", 3));
  put("hat.safetensors", bytes("{}", 4));
  const auto library = Library::open({.root = root_ / "data", .starter = root_ / "starter"});
  const auto place = [&](const char* relative) {
    const auto record = library.find_relative(relative);
    return record ? record->place : "";
  };
  EXPECT_EQ(place("pose"), "starter-lora");
  EXPECT_EQ(place("sub/pose"), "lora");
  EXPECT_EQ(place("hat"), "lora");
  // A tag that means it is there for each that is shown; a starter file whose own path is taken is not shown.
  EXPECT_THAT(names(library.find({})), ElementsAre("pose", "hat", "sub/pose"));
  EXPECT_EQ(library.facets(1).total, 3);
  for (const Record& record : library.find({}))
    EXPECT_EQ(library.find_lora(library.prompt_name(record))->record.id, record.id) << record.relative;
}

TEST_F(LibraryTest, TheStartersCheckpointIsInTheCollection) {
  write_file(root_ / "starter/starter.safetensors", bytes());
  write_file(root_ / "starter/lora/pose.safetensors", bytes());
  const auto library = Library::open({.root = root_ / "data", .starter = root_ / "starter"});
  EXPECT_THAT(names(library.find({.kind = "checkpoint"})), ElementsAre("starter"));
  EXPECT_TRUE(
      find_needed(library, {.kind = "checkpoint", .name = "starter", .hash = {}, .civitai_version = 0})
          .found);
}

TEST_F(LibraryTest, PiecesOfAnAnswerMakeTheWhole) {
  for (const char* name : {"a", "b", "c", "d", "e"})
    put(std::string(name) + ".safetensors", bytes(R"({"ss_tag_frequency":"{\"1_a\":{\"fox\":5}}"})"));
  put("f.safetensors", bytes());
  const auto library = open();
  const Query foxes{.tag = "fox"};
  EXPECT_EQ(library.count(foxes), 5);
  Query piece = foxes;
  piece.limit = 2;
  EXPECT_THAT(names(library.find(piece)), ElementsAre("a", "b"));
  piece.offset = 2;
  EXPECT_THAT(names(library.find(piece)), ElementsAre("c", "d"));
  piece.offset = 4;
  std::int64_t total = 0;
  EXPECT_THAT(names(library.find(piece, &total)), ElementsAre("e"));
  EXPECT_EQ(total, 5);
  EXPECT_EQ(library.count(piece), 5);
  piece.offset = 90;
  EXPECT_THAT(names(library.find(piece, &(total = 0))), IsEmpty());
  EXPECT_EQ(total, 5);
  EXPECT_THAT(names(library.find({.tag = "wolf"}, &total)), IsEmpty());
  EXPECT_EQ(total, 0);
  piece.offset = 4;
  piece.limit = 0;
  EXPECT_THAT(names(library.find(piece)), ElementsAre("e"));
}

TEST_F(LibraryTest, TagsAreWholeAndOfAnyCharacters) {
  put("cards.safetensors",
      bytes(R"({"ss_tag_frequency":"{\"1_a\":{\"Red Fox\":5,\"a \\\"b\\\", [c]\":2}}"})"));
  put("cards.json", R"({"tags":["x\",y","Größe","[\"fox\""],"activation text":"Sly Fox, \"q\""})");
  const auto library = open();
  for (const char* tag : {"red fox", "RED FOX", "a \"b\", [c]", "x\",y", "Größe", "[\"fox\""})
    EXPECT_EQ(library.count({.tag = tag}), 1) << tag;
  for (const char* tag : {"fox", "red", "a", "b", "y", "x", "c", "5", "red fox\",5", "]"})
    EXPECT_EQ(library.count({.tag = tag}), 0) << tag;
  EXPECT_EQ(library.count({.trigger = "sly fox"}), 1);
  EXPECT_EQ(library.count({.trigger = "wolf"}), 0);
}

TEST_F(LibraryTest, FacetsCountEachLoraOnce) {
  put("a.safetensors",
      bytes(R"({"ss_tag_frequency":"{\"1_a\":{\"Fox\":5},\"2_b\":{\"fox\":1,\"red\":2}}"})"));
  put("a.json", R"({"tags":["fox","mine"],"type":"style"})");
  put("b.safetensors", bytes(R"({"ss_tag_frequency":"{\"1_a\":{\"red\":5}}"})", 1, 2048));
  put("b.json", R"({"sd version":"Pony"})");
  auto library = open();
  const auto before = library.version();
  const Facets facets = library.facets(10);
  const auto pairs = [](const std::vector<ValueCount>& counts) {
    std::vector<std::string> out;
    for (const auto& [value, count] : counts) out.push_back(value + " " + std::to_string(count));
    return out;
  };
  EXPECT_EQ(facets.total, 2);
  EXPECT_THAT(pairs(facets.types), ElementsAre(" 1", "style 1"));
  EXPECT_THAT(pairs(facets.base_models), ElementsAre("Pony 1", "SD 1.x 1"));
  EXPECT_THAT(pairs(facets.tags), ElementsAre("red 2", "fox 1", "mine 1"));
  EXPECT_THAT(pairs(library.facets(1).tags), ElementsAre("red 2"));
  // What is shown is what a filter may be given, and a family goes beyond it.
  EXPECT_EQ(library.count({.base_model = "Pony", .base_as_shown = true}), 1);
  EXPECT_EQ(library.count({.base_model = "SDXL", .base_as_shown = true}), 1);
  EXPECT_EQ(library.version(), before);
  put("c.safetensors", bytes());
  library.rescan();
  EXPECT_NE(library.version(), before);
}

TEST_F(LibraryTest, OnlyFilesThatMayBeTheSameAreSuspected) {
  put("a.safetensors", bytes(R"({"x":"1"})"));
  put("b.safetensors", bytes(R"({"x":"1"})", 2));  // the same header, other tensors
  put("c.safetensors", bytes(R"({"x":"2"})"));     // the same size, another header
  const auto library = open();
  EXPECT_THAT(names(library.suspects()), testing::UnorderedElementsAre("a", "b"));
}

TEST_F(LibraryTest, TheUsersTypeWinsThenCivitaisThenAGuessThatSaysSo) {
  put("a_style.safetensors", bytes());
  put("b.safetensors", bytes());
  put("b.civitai.info", R"({"model":{"tags":["poses"]}})");
  put("c_style.safetensors", bytes());
  put("c_style.json", R"({"type":"object"})");
  put("d.safetensors", bytes(R"({"ss_tag_frequency":"{\"1_a\":{\"1girl\":9,\"red\":3}}"})"));
  put("e.safetensors", bytes());
  std::vector<std::string> types;
  for (const Record& record : open().find({})) types.push_back(record.type + " " + record.type_origin);
  EXPECT_THAT(types, ElementsAre("style guess", "pose civitai", "object user", "character guess", " "));
}

TEST_F(LibraryTest, OddNamesWork) {
  const std::string longest = std::string(255 - 12, 'x') + ".safetensors";
  for (const std::string& name :
       {std::string("-dash.safetensors"), std::string("new\nline.safetensors"),
        std::string("狐 fuchs ß.safetensors"), std::string("bad \xff\xfe.safetensors"),
        std::string("quote'\".safetensors"), longest})
    put(name, bytes());
  fs::create_directory_symlink(lora(""), lora("loop"));
  fs::create_symlink(lora("nowhere"), lora("dangling.safetensors"));
  const auto library = open();
  EXPECT_EQ(library.find({}).size(), 6u);
  for (const std::string& name :
       {std::string("-dash"), std::string("new\nline"), std::string("狐 fuchs ß"),
        std::string("bad \xff\xfe"), std::string("quote'\""), longest.substr(0, 243)})
    EXPECT_TRUE(library.find_lora(name)) << name;
  EXPECT_THAT(names(library.find({.words = "fuchs"})), ElementsAre("狐 fuchs ß"));
  EXPECT_EQ(open().last_scan().read, 0);
}

// A prompt in which the offered tag stands means the file, and nothing of the tag is left over.
TEST_F(LibraryTest, EveryTagThatIsOfferedWorks) {
  for (const char* name : {"plain", "a#b", "#1 styles/fox", "a=b", "x=2", "te=0.5", "step=1000", "a:b",
                           "red:2", "a<b>c", "\"quoted\"", "say \"x\"", "a\nb", " blanks ", "none",
                           "a:b/same", "c=d/same", "e/same", "bad \xff\xfe"})
    put(std::string(name) + ".safetensors", bytes());
  put("odd:1.safetensors", bytes(R"({"ss_output_name":"even"})"));
  const auto library = open();
  const auto records = library.find({});
  ASSERT_EQ(records.size(), 20u);
  for (const Record& record : records) {
    const std::string prompt = well_formed("a fox, " + library.prompt_tag(record) + " # note");
    const auto kept = prompt::apply_styles(prompt, "", {}, {}).prompt;
    const auto networks = prompt::parse_extra_networks(kept);
    EXPECT_EQ(networks.stripped, "a fox, ") << prompt;
    EXPECT_THAT(networks.warnings, IsEmpty()) << prompt;
    ASSERT_EQ(networks.loras.size(), 1u) << prompt;
    const auto meant = library.find_lora(networks.loras[0].name);
    ASSERT_TRUE(meant) << prompt;
    EXPECT_EQ(meant->record.id, record.id) << prompt;
  }
  // A1111 knows no quotes: where the file has another name that it can read, that one is offered.
  EXPECT_EQ(library.prompt_tag(library.resolve("odd:1").record), "<lora:even:1>");
}

// LyCORIS states a hash of its own in the place of kohya's: no AutoV3, but infotexts repeat its beginning.
TEST_F(LibraryTest, AHashThatLycorisStatesFindsTheFileButIsNotShown) {
  const std::string digits = "0123456789ABCDEF0123456789abcdef0123456789abcdef0123456789abcdef";
  put("a.safetensors", bytes(R"({"sshs_model_hash":"0x)" + digits + "\"}"));
  const auto library = open();
  const Record record = hashed(library, "a");
  EXPECT_EQ(lora_hash(record), record.addnet.substr(0, 12));
  for (const std::string& hash :
       {"0x" + digits, "0x" + digits.substr(0, 10), digits, digits.substr(0, 12), record.addnet}) {
    const auto found = library.find_hash(hash);
    ASSERT_TRUE(found) << hash;
    EXPECT_EQ(found->id, record.id);
  }
  EXPECT_FALSE(library.find_hash("0x0123"));
  EXPECT_FALSE(library.find_hash("0x" + std::string(64, 'a')));
}

TEST_F(LibraryTest, EmbeddingsInsideALoraAreTriggerWords) {
  const std::string module = "lora_unet_down_blocks_0_attentions_0_transformer_blocks_0_attn2_to_k";
  const std::string header =
      R"({"bundle_emb.zorbo.clip_l":{"dtype":"F16","shape":[1,4],"data_offsets":[0,8]},")" + module +
      R"(.lora_down.weight":{"dtype":"F16","shape":[1,768],"data_offsets":[8,1544]},")" + module +
      R"(.lora_up.weight":{"dtype":"F16","shape":[4,1],"data_offsets":[1544,1552]}})";
  std::string text;
  for (int i = 0; i < 8; ++i) text += static_cast<char>(header.size() >> (8 * i) & 0xFF);
  put("a.safetensors", text + header + std::string(1552, 1));
  const auto library = open();
  const Record record = library.resolve("a").record;
  EXPECT_EQ(record.problem, "");
  EXPECT_THAT(list_of(record.triggers), ElementsAre("zorbo"));
  EXPECT_EQ(library.prompt_line(record), "zorbo, <lora:a:1>");
}

TEST_F(LibraryTest, BrokenFilesSayWhy) {
  put("empty.safetensors", "");
  put("cut.safetensors", bytes().substr(0, 400));
  put("page.safetensors", "<!DOCTYPE html><html></html>");
  put("flux.safetensors", [] {
    const std::string header =
        R"({"lora_unet_double_blocks_0_img_attn_proj.alpha":{"dtype":"F32","shape":[],"data_offsets":[0,4]}})";
    return std::string(1, static_cast<char>(header.size())) + std::string(7, '\0') + header + "abcd";
  }());
  for (const Record& record : open().find({})) EXPECT_NE(record.problem, "") << record.relative;
  EXPECT_EQ(open().resolve("flux").record.architecture, "FLUX");
  EXPECT_THAT(open().resolve("cut").record.problem, HasSubstr("truncated"));
}

TEST_F(LibraryTest, OtherModelsAreIndexedToo) {
  write_file(root_ / "data/models/Stable-diffusion/sub/sd.safetensors", "x");
  write_file(root_ / "data/models/VAE/a.vae.pt", "x");
  write_file(root_ / "data/embeddings/bad.pt", "x");
  write_file(root_ / "data/models/ESRGAN/4x.pth", "x");
  const auto library = open();
  EXPECT_THAT(names(library.find({.kind = "checkpoint"})), ElementsAre("sub/sd"));
  EXPECT_THAT(names(library.find({.kind = "vae"})), ElementsAre("a.vae"));
  EXPECT_THAT(names(library.find({.kind = "embedding"})), ElementsAre("bad"));
  EXPECT_THAT(names(library.find({.kind = "upscaler"})), ElementsAre("4x"));
  EXPECT_THAT(library.find({}), IsEmpty());
}

TEST_F(LibraryTest, ADamagedIndexIsMadeAnew) {
  put("a.safetensors", bytes());
  open();
  write_file(root_ / "index.sqlite", std::string(8192, 'z'));
  EXPECT_THAT(names(open().find({})), ElementsAre("a"));
}

TEST_F(LibraryTest, AnIndexOfTheFutureIsLeftAlone) {
  open();
  { sqlite::Database(root_ / "index.sqlite").execute("PRAGMA user_version = 999"); }
  EXPECT_THROW(open(), Error);
}

TEST_F(LibraryTest, ARebuildCarriesHashesAndFormerNamesOver) {
  put("old.safetensors", bytes());
  const std::string sha = hashed(open(), "old").sha256;
  fs::rename(lora("old.safetensors"), lora("new.safetensors"));
  open();
  const auto library = Library::open(data(), {}, Rebuild::kYes);
  EXPECT_EQ(found(library, "old"), "new by former name");
  EXPECT_EQ(library.resolve("new").record.sha256, sha);
}

TEST_F(LibraryTest, WithoutAPlaceToWriteTheIndexLivesInMemory) {
  put("a.safetensors", bytes());
  unsetenv("LOWRANK_INDEX");
  setenv("XDG_CACHE_HOME", "/proc/no-such-place", 1);
  EXPECT_THAT(names(open().find({})), ElementsAre("a"));
}

TEST_F(LibraryTest, TwoLibrariesAtOnceSeeEachOthersWriting) {
  const auto first = open(), second = open();
  put("a.safetensors", bytes());
  Library third = open();
  EXPECT_THAT(names(first.find({})), ElementsAre("a"));
  put("b.safetensors", bytes());
  Library fourth = open();
  third.rescan();
  EXPECT_THAT(names(second.find({})), ElementsAre("a", "b"));
}

TEST_F(LibraryTest, EditsKeepUnknownFieldsAndStayInStepWithLoraManager) {
  put("fox.safetensors", bytes());
  put("fox.json", R"({"vae":"x","notes":"old","preferred weight":0.5,"list":[1,{"a":null}]})");
  put("fox.metadata.json",
      R"({"favorite":true,"notes":"old","usage_tips":"{\"clip_skip\":2}","civitai":{"id":7}})");
  edit_card(lora("fox.safetensors"),
            {.notes = "new",
             .preferred_weight = 0.8,
             .rating = 5,
             .type = "style",
             .tags = std::vector<std::string>{"a", "b"}},
            {});
  EXPECT_EQ(read_file(lora("fox.json")), R"({
    "vae": "x",
    "notes": "new",
    "preferred weight": 0.8,
    "list": [
        1,
        {
            "a": null
        }
    ],
    "tags": [
        "a",
        "b"
    ],
    "rating": 5,
    "type": "style"
})");
  const std::string manager = read_file(lora("fox.metadata.json"));
  for (const char* part : {R"("favorite": true)", R"("notes": "new")", R"("id": 7)", R"(\"strength\":0.8)",
                           R"(\"clip_skip\":2)"})
    EXPECT_THAT(manager, HasSubstr(part));
  const Record record = open().resolve("fox").record;
  EXPECT_EQ(record.rating, 5);
  EXPECT_EQ(record.tags, R"(["a","b"])");
  put("broken.safetensors", bytes());
  put("broken.json", "[1]");
  EXPECT_THROW(edit_card(lora("broken.safetensors"), {.notes = "x"}, {}), Error);
  EXPECT_EQ(read_file(lora("broken.json")), "[1]");
}

// The fields of ComfyUI-Lora-Manager, docs/metadata-json-schema.md of its repository.
TEST_F(LibraryTest, LoraManagersFileIsRead) {
  put("fox.safetensors", bytes());
  put("fox.metadata.json",
      R"({"file_name":"fox","model_name":"Red Fox","base_model":"Illustrious","notes":"n","tags":["animal"],)"
      R"("usage_tips":"{\"strength\":0.6}","trainedWords":[],"civitai":{"id":11,"modelId":22,"trainedWords":["foxy"],)"
      R"("creator":{"username":"ann"}}})");
  const Record record = open().resolve("fox").record;
  EXPECT_EQ(record.title, "Red Fox");
  EXPECT_EQ(record.base_model, "Illustrious");
  EXPECT_EQ(record.notes, "n");
  EXPECT_EQ(record.weight, 0.6);
  EXPECT_EQ(record.triggers, R"(["foxy"])");
  EXPECT_EQ(record.tags, R"(["animal"])");
  EXPECT_EQ(record.creator, "ann");
  EXPECT_EQ(record.civitai_model, 22);
  EXPECT_EQ(record.civitai_version, 11);
  EXPECT_EQ(open().resolve("civitai-11").record.id, record.id) << "by the version that Civitai gives it";
  EXPECT_FALSE(open().find_lora("civitai-12"));
  EXPECT_FALSE(open().find_lora("civitai-0"));
}

}  // namespace
}  // namespace lowrank::library
