#include "library/picture_settings.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <nlohmann/json.hpp>

#include "base/atomic_file.h"
#include "base/error.h"
#include "base/mapped_file.h"
#include "image/picture_texts.h"

namespace lowrank::library {
namespace {

namespace fs = std::filesystem;
using ::testing::Contains;
using ::testing::HasSubstr;

fs::path fixture(const std::string& name) {
  for (const char* folder : {"generators", "hidden"})
    if (fs::exists(fs::path(LOWRANK_TEST_FIXTURES) / folder / name))
      return fs::path(LOWRANK_TEST_FIXTURES) / folder / name;
  return name;
}

nlohmann::json expected() {
  nlohmann::json all;
  for (const char* folder : {"generators", "hidden"})
    all.update(nlohmann::json::parse(read_file(fs::path(LOWRANK_TEST_FIXTURES) / folder / "expected.json")));
  return all;
}

// The pictures and what they say: tools/fixtures/make_generator_pictures.py and make_hidden_settings.py.
TEST(PictureSettings, PicturesOfOtherProgramsAreRead) {
  const auto all = expected();
  for (const auto& [name, wanted] : all.items()) {
    SCOPED_TRACE(name);
    const prompt::PictureSettings settings = load_settings(fixture(name));
    EXPECT_EQ(settings.generator, wanted["generator"]);
    EXPECT_EQ(settings.infotext.prompt, wanted["prompt"]);
    EXPECT_EQ(settings.infotext.negative_prompt, wanted["negative"]);
    for (const auto& [label, value] : wanted["entries"].items()) {
      const std::string* found = settings.infotext.find(label);
      EXPECT_EQ(found == nullptr ? "nothing" : *found, value) << label;
    }
    for (const auto& note : wanted["notes"])
      EXPECT_THAT(settings.notes, Contains(HasSubstr(note.get<std::string>())));
    // Its text says the same in A1111's words.
    const prompt::Infotext again = prompt::settings_of_text(settings.text).infotext;
    EXPECT_EQ(again.prompt, settings.infotext.prompt);
    for (const auto& [label, value] : wanted["entries"].items()) {
      const std::string* found = again.find(label);
      EXPECT_EQ(found == nullptr ? "nothing" : *found, value) << label << " of the text";
    }
  }
}

// What is left out of a picture's settings is told: no entry that was not said.
TEST(PictureSettings, WhatAPictureDoesNotSayIsNotMadeUp) {
  EXPECT_EQ(load_settings(fixture("comfyui-unknown.png")).infotext.entries.size(), 0u);
  EXPECT_EQ(load_settings(fixture("comfyui-far-seed.png")).infotext.find("Seed"), nullptr);
  EXPECT_EQ(load_settings(fixture("tensorart.png")).infotext.find("Seed"), nullptr);
}

// As A1111 translates it; the size is the picture's.
TEST(PictureSettings, NovelAiInA1111sWords) {
  const auto settings = load_settings(fs::path(LOWRANK_TEST_FIXTURES) / "image/novelai.png");
  const auto words = image::read_words(
      MappedFile::open(fs::path(LOWRANK_TEST_FIXTURES) / "image/novelai.png")->bytes(), "novelai.png");
  EXPECT_EQ(settings.text,
            "masterpiece, a fox girl, {smile}\nNegative prompt: lowres, bad anatomy\nSteps: 28, Sampler: "
            "Euler a, CFG "
            "scale: 11.0, Seed: 3141592653, Size: " +
                std::to_string(words.width) + "x" + std::to_string(words.height) +
                ", Clip skip: 2, ENSD: 31337");
}

TEST(PictureSettings, EveryRowOfTheTableHasAPicture) {
  const auto all = expected();
  for (const prompt::GeneratorRow& row : prompt::generator_table()) {
    int count = 0;
    for (const auto& [name, wanted] : all.items()) {
      if (name.ends_with(".txt")) continue;
      if (name.ends_with(".json")) {
        count += row.read({.texts = {{"parameters", read_file(fixture(name))}}}) ? 1 : 0;
        continue;
      }
      const auto words = image::read_words(MappedFile::open(fixture(name))->bytes(), name);
      count += row.read({.texts = words.texts, .width = words.width, .height = words.height}) ? 1 : 0;
    }
    EXPECT_GT(count, 0) << row.name;
  }
}

TEST(PictureSettings, ATextBesideAPictureIsRead) {
  const fs::path folder = fs::path(::testing::TempDir()) / "beside";
  fs::create_directories(folder);
  std::ofstream(folder / "a.png", std::ios::binary)
      << read_file(fs::path(LOWRANK_TEST_FIXTURES) / "image/grey.png");
  EXPECT_THROW(load_settings(folder / "a.png"), Error);
  std::ofstream(folder / "a.txt") << "\xff\xfe" << std::string("f\0o\0x\0\n\0", 8) << [] {
    std::string wide;
    for (const char c : std::string("Steps: 9, Seed: 4, Size: 64x64")) {
      wide += c;
      wide += '\0';
    }
    return wide;
  }();
  const auto settings = load_settings(folder / "a.png");
  EXPECT_EQ(settings.infotext.prompt, "fox");
  EXPECT_EQ(*settings.infotext.find("Seed"), "4");
  EXPECT_THAT(settings.notes, Contains(HasSubstr("a.txt")));
  fs::remove_all(folder);
}

TEST(PictureSettings, JsonOfAnUnknownProgramIsNoPrompt) {
  const auto settings = prompt::settings_of_text(R"({"wish": "a fox", "count": 3})");
  EXPECT_EQ(settings.infotext.prompt, "");
  EXPECT_THAT(settings.notes, Contains(HasSubstr("wish")));
  EXPECT_FALSE(settings.is_understood);
}

std::string refusal(const std::string& name) {
  try {
    load_settings(fixture(name));
  } catch (const Error& error) {
    return error.what();
  }
  return "";
}

TEST(PictureSettings, DamagedHiddenTextsAreNone) {
  for (const char* name : {"too-long.png", "cut-gzip.png", "name-alone.png", "plain.png"})
    EXPECT_THAT(refusal(name), HasSubstr("contains no settings; only")) << name;
}

TEST(PictureSettings, ContentCredentialsNameTheProgram) {
  EXPECT_THAT(refusal("c2pa.png"), HasSubstr("Content Credentials of OpenAI-API c2pa-rs/0.28.4"));
  EXPECT_THAT(refusal("c2pa.jpg"), HasSubstr("Content Credentials of Adobe Firefly"));
}

}  // namespace
}  // namespace lowrank::library
