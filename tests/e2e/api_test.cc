// The public API from outside: this file includes nothing but the public header and the standard library.
#include <gtest/gtest.h>
#include <lowrank/lowrank.h>
#include <unistd.h>

#include <filesystem>
#include <string>

namespace {

namespace fs = std::filesystem;

// An A1111 data folder with the tiny model and one of its adapters.
class ApiTest : public ::testing::Test {
 protected:
  void SetUp() override {
    folder = fs::temp_directory_path() / ("lowrank-api-test-" + std::to_string(getpid()));
    fs::create_directories(folder / "models/Stable-diffusion");
    fs::create_directories(folder / "models/Lora");
    const fs::path tiny = fs::path(LOWRANK_TEST_FIXTURES) / "sd15-tiny";
    fs::create_symlink(tiny / "sd15-tiny.safetensors", folder / "models/Stable-diffusion/tiny.safetensors");
    fs::create_symlink(tiny / "sd15-tiny-lora_attn.safetensors", folder / "models/Lora/attn.safetensors");
  }
  void TearDown() override { fs::remove_all(folder); }

  lowrank::Session session() const { return lowrank::Session({.data_dir = folder.string(), .threads = 1}); }
  static lowrank::Generation generation(const std::string& prompt) {
    return {.prompt = prompt, .steps = 2, .seed = 42, .width = 64, .height = 64};
  }
  fs::path folder;
};

TEST_F(ApiTest, MakesASavedPictureWithAReport) {
  lowrank::Session engine = session();
  int steps = 0;
  const auto result =
      engine.generate(generation("a fox <lora:attn:0.8>"), [&](const lowrank::StepEvent&) { ++steps; });
  EXPECT_EQ(steps, 2);
  ASSERT_EQ(result.pictures.size(), 1u);
  EXPECT_EQ(result.pictures[0].rgb.size(), 64u * 64 * 3);
  EXPECT_NE(result.pictures[0].parameters.find("Seed: 42"), std::string::npos);
  ASSERT_EQ(result.loras.size(), 1u);
  EXPECT_GT(result.loras[0].applied, 0);
  result.pictures[0].save((folder / "fox.png").string());
  EXPECT_TRUE(fs::exists(folder / "fox.png"));
}

TEST_F(ApiTest, AMissingLoraIsNamedWithItsReason) {
  lowrank::Session engine = session();
  auto asked = generation("a fox <lora:nowhere:1> <lora:attn:0.8>");
  asked.allow_missing_loras = true;
  const auto result = engine.generate(asked);
  ASSERT_EQ(result.missing_loras.size(), 1u);
  EXPECT_EQ(result.missing_loras[0].name, "nowhere");
  EXPECT_NE(result.missing_loras[0].reason.find("nowhere"), std::string::npos);
  EXPECT_EQ(result.loras.size(), 1u);
}

TEST_F(ApiTest, FailuresAreSentencesAndTheSessionGoesOn) {
  lowrank::Session engine = session();
  for (const auto& [prompt, field, kind] :
       {std::tuple{"a <lora:none:1>", "eta", lowrank::Failure::Kind::kNotFound},
        std::tuple{"a", "no_such_field", lowrank::Failure::Kind::kBadInput}}) {
    auto asked = generation(prompt);
    asked.more = {{field, "1"}};
    try {
      engine.generate(asked);
      ADD_FAILURE() << prompt;
    } catch (const lowrank::Failure& failure) {
      EXPECT_EQ(failure.kind, kind) << failure.what();
    }
  }
  EXPECT_EQ(engine.generate(generation("a fox")).pictures.size(), 1u);
}

}  // namespace
