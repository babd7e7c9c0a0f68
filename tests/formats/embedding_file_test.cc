#include "formats/embedding_file.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/sha256.h"
#include "formats/crafted_models.h"

namespace lowrank::formats {
namespace {

using ::testing::HasSubstr;

TEST(EmbeddingFile, EveryWritersFormIsRead) {
  for (const char* name : {"embedding-a1111.pt", "embedding-parameterdict.pt"}) {
    const auto embedding = open_embedding(fixture(std::string("pickle/") + name));
    EXPECT_EQ(embedding.vectors.shape, (Shape{2, 4}));
    EXPECT_EQ(weights::to_floats(embedding.vectors), (std::vector<float>{0, 1, 2, 3, 4, 5, 6, 7}));
  }
  const auto diffusers = open_embedding(fixture("pickle/embedding-diffusers.bin"));
  EXPECT_EQ(diffusers.name, "embedding-diffusers");
  EXPECT_EQ(diffusers.vectors.shape, (Shape{1, 4}));
}

TEST(EmbeddingFile, SafetensorsFormsAreRead) {
  const TemporaryFolder folder;
  write_named(folder.path() / "red fox.safetensors", {{"emb_params", {3, 8}, 1}});
  const auto embedding = open_embedding(folder.path() / "red fox.safetensors");
  EXPECT_EQ(embedding.name, "red fox");
  EXPECT_EQ(embedding.vectors.shape, (Shape{3, 8}));
  write_named(folder.path() / "xl.safetensors", {{"clip_l", {3, 768}}, {"clip_g", {3, 1280}}});
  EXPECT_EQ(open_embedding(folder.path() / "xl.safetensors").vectors.name, "clip_l");
}

// Bits of 16-bit floats, saved as the integers that they also are.
TEST(EmbeddingFile, WholeNumbersAreNoVectors) {
  const TemporaryFolder folder;
  const auto path =
      folder.write("bits.safetensors",
                   weights::safetensors_bytes(
                       R"({"emb_params":{"dtype":"U16","shape":[1,4],"data_offsets":[0,8]}})", "12345678"));
  EXPECT_THAT(error_of([&] { open_embedding(path); }), HasSubstr("integers (U16)"));
}

TEST(EmbeddingFile, WhatIsNotFiniteCannotBeUsed) {
  const TemporaryFolder folder;
  const std::string header = R"({"emb_params":{"dtype":"F16","shape":[1,2],"data_offsets":[0,4]}})";
  using namespace std::string_literals;
  folder.write("sound.safetensors", weights::safetensors_bytes(header, "\0\x3c\0\x3c"s));
  folder.write("broken.safetensors", weights::safetensors_bytes(header, "\0\x3c\0\x7e"s));  // 1, NaN
  const EmbeddingFolder found = read_embedding_folder(folder.path(), 2);
  ASSERT_EQ(found.usable.size(), 1u);
  EXPECT_EQ(found.usable[0].name, "sound");
  ASSERT_EQ(found.unusable.size(), 1u);
  EXPECT_THAT(found.unusable[0].reason, HasSubstr("NaN or infinite values"));
}

TEST(EmbeddingFile, HashIsThatOfTheWholeFile) {
  const auto path = fixture("pickle/embedding-a1111.pt");
  EXPECT_EQ(embedding_short_hash(open_embedding(path)),
            sha256_hex(weights::as_bytes(weights::contents_of(path))).substr(0, 10));
}

// Links that lead nowhere or to themselves lie beside them: the others are found all the same.
TEST(EmbeddingFile, AFolderIsReadPastWhatCannotBeFollowed) {
  const TemporaryFolder folder;
  for (const char* name : {"a", "m", "z"})
    write_named(folder.path() / (std::string(name) + ".safetensors"), {{"emb_params", {1, 8}}});
  for (const char* name : {"b", "l", "n", "y"})
    std::filesystem::create_symlink(name, folder.path() / name);  // each leads to itself
  std::filesystem::create_directory_symlink("no/such/drive", folder.path() / "c");
  std::vector<std::string> names;
  for (const auto& embedding : read_embedding_folder(folder.path(), 8).usable)
    names.push_back(embedding.name);
  EXPECT_THAT(names, ::testing::ElementsAre("a", "m", "z"));
}

TEST(EmbeddingFile, OtherFilesAreRefused) {
  const TemporaryFolder folder;
  const auto refusal = [&](const std::vector<Named>& tensors) {
    write_named(folder.path() / "x.safetensors", tensors);
    return error_of([&] { open_embedding(folder.path() / "x.safetensors"); });
  };
  EXPECT_THAT(refusal({{"a", {1, 4}}, {"b", {1, 4}}}), HasSubstr("several tensors"));
  EXPECT_THAT(refusal({{"emb_params", {1, 4, 4}}}), HasSubstr("'emb_params' is [1, 4, 4]"));
  EXPECT_THAT(refusal({{"emb_params", {}}}), HasSubstr("[count, width]"));
  EXPECT_THAT(refusal({{"emb_params", {0, 4}}}), HasSubstr("[count, width]"));
  EXPECT_THAT(refusal({{"emb_params", {20'000, 1}}}), HasSubstr("[count, width]"));
  EXPECT_THAT(error_of([] { open_embedding(tiny_model()); }), HasSubstr("an SD 1.x checkpoint"));
}

}  // namespace
}  // namespace lowrank::formats
