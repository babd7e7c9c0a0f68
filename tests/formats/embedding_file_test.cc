#include "formats/embedding_file.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/sha256.h"
#include "formats/crafted_models.h"

namespace lowrank::formats {
namespace {

using ::testing::HasSubstr;

const weights::TensorView& first_of(const EmbeddingFile& embedding) {
  return *embedding.vectors.find(Component::kTextEncoder);
}

TEST(EmbeddingFile, EveryWritersFormIsRead) {
  for (const char* name : {"embedding-a1111.pt", "embedding-parameterdict.pt"}) {
    const auto embedding = open_embedding(fixture(std::string("pickle/") + name));
    EXPECT_EQ(first_of(embedding).shape, (Shape{2, 4}));
    EXPECT_EQ(weights::to_floats(first_of(embedding)), (std::vector<float>{0, 1, 2, 3, 4, 5, 6, 7}));
  }
  const auto diffusers = open_embedding(fixture("pickle/embedding-diffusers.bin"));
  EXPECT_EQ(diffusers.name, "embedding-diffusers");
  EXPECT_EQ(first_of(diffusers).shape, (Shape{1, 4}));
}

TEST(EmbeddingFile, SafetensorsFormsAreRead) {
  const TemporaryFolder folder;
  write_named(folder.path() / "red fox.safetensors", {{"emb_params", {3, 8}, 1}});
  const auto embedding = open_embedding(folder.path() / "red fox.safetensors");
  EXPECT_EQ(embedding.name, "red fox");
  EXPECT_EQ(first_of(embedding).shape, (Shape{3, 8}));
  write_named(folder.path() / "xl.safetensors", {{"clip_l", {3, 768}}, {"clip_g", {3, 1280}}});
  const auto pair = open_embedding(folder.path() / "xl.safetensors").vectors;
  EXPECT_EQ(pair.find(Component::kTextEncoder)->shape, (Shape{3, 768}));
  EXPECT_EQ(pair.find(Component::kTextEncoder2)->shape, (Shape{3, 1280}));
}

// Bits of 16-bit floats, saved as the integers that they also are.
// The widths are those of the published models: CLIP ViT-L 768, OpenCLIP ViT-H 1024, ViT-bigG 1280.
TEST(EmbeddingFile, BelongsToTheFamilyOfItsWidths) {
  const TextWidths sd1{{Component::kTextEncoder, 768}}, sd2{{Component::kTextEncoder, 1024}},
      sdxl{{Component::kTextEncoder, 768}, {Component::kTextEncoder2, 1280}},
      refiner{{Component::kTextEncoder2, 1280}};
  const TemporaryFolder folder;
  const auto reason = [&](const std::vector<Named>& tensors, const TextWidths& widths) {
    write_named(folder.path() / "x.safetensors", tensors);
    return vectors_misfit(open_embedding(folder.path() / "x.safetensors").vectors, widths);
  };
  const std::vector<Named> one = {{"emb_params", {2, 768}}}, two = {{"emb_params", {2, 1024}}},
                           pair = {{"clip_g", {2, 1280}}, {"clip_l", {2, 768}}},
                           big = {{"emb_params", {2, 1280}}};
  EXPECT_EQ(reason(one, sd1), "");
  EXPECT_EQ(reason(two, sd2), "");
  EXPECT_EQ(reason(pair, sdxl), "");
  EXPECT_EQ(reason(pair, refiner), "");
  EXPECT_EQ(reason(big, refiner), "");
  EXPECT_EQ(
      reason(one, sdxl),
      "it is made for SD 1.x (vectors 768 wide), but this checkpoint's text encoders are 768 and 1280 wide");
  EXPECT_EQ(
      reason(pair, sd1),
      "it is made for SDXL (vectors 768 and 1280 wide), but this checkpoint's text encoder is 768 wide");
  EXPECT_EQ(reason(two, sd1),
            "it is made for SD 2.x (vectors 1024 wide), but this checkpoint's text encoder is 768 wide");
  EXPECT_NE(reason(two, sdxl), "");
  EXPECT_NE(reason(big, sdxl), "");
  EXPECT_NE(reason(one, refiner), "");
  write_named(folder.path() / "x.safetensors", {{"clip_l", {2, 768}}, {"clip_g", {3, 1280}}});
  EXPECT_THAT(error_of([&] { open_embedding(folder.path() / "x.safetensors"); }), HasSubstr("equally many"));
}

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
  const EmbeddingFolder found =
      read_embedding_folder(folder.path(), TextWidths{{Component::kTextEncoder, 2}});
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
  for (const auto& embedding :
       read_embedding_folder(folder.path(), TextWidths{{Component::kTextEncoder, 8}}).usable)
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
