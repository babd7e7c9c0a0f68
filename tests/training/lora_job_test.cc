#include "training/lora/lora_job.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/error.h"
#include "formats/hashes.h"
#include "training/lora/sample_pictures.h"
#include "training/picture_folder.h"
#include "weights/tensor_file.h"

namespace lowrank::training {
namespace {

using ::testing::Contains;
using ::testing::HasSubstr;
using testing::TemporaryFolder;
using testing::write_example;
using testing::write_text;
using testing::write_tiny_checkpoint;

class LoraJobTest : public ::testing::Test {
 protected:
  LoraJobTest() {
    write_tiny_checkpoint(in("tiny.safetensors"));
    for (int i = 0; i < 2; ++i)
      write_example(in("data/1_3dmm style/" + std::to_string(i) + ".png"), 64, 64, i, "3dmm style, disc");
    write_text(
        in("prompts.txt"),
        "# samples\n3dmm style, a disc --n ugly, blurry --s 2 --d 5 --l 3 --ss Euler\n\nplain --s 2\n");
  }
  std::filesystem::path in(const std::string& name) const { return folder_.path() / name; }
  LoraJob job(const std::string& output) const {
    LoraJob job;
    job.checkpoint = "tiny";
    job.options.data = {.folder = in("data"), .buckets = {.resolution = {64, 64}}, .batch_size = 2};
    job.options.learning_rate = 2e-3;
    job.options.max_steps = 4;
    job.options.output_dir = in(output);
    job.options.output_name = "style";
    return job;
  }
  pipeline::Resources resources() const {
    pipeline::Resources resources;
    // Without a name it is another one.
    resources.checkpoint = [this](const std::string& name) {
      return in(name.empty() ? "newest.safetensors" : "tiny.safetensors");
    };
    resources.lora = [](const std::string& name) -> std::filesystem::path {
      throw Error(kNotFound, "no {}", name);
    };
    resources.vae = [](const std::string&,
                       const std::filesystem::path&) -> std::optional<std::filesystem::path> {
      return std::nullopt;
    };
    return resources;
  }
  LoraJobResult run(const LoraJob& job, const RunControl& control = {}) const {
    pipeline::Session session(resources(), {.threads = 1, .version = "test"});
    return run_lora_job(session, job, control);
  }
  TemporaryFolder folder_;
};

TEST_F(LoraJobTest, TellsItsPlanAndReturnsTagAndTrigger) {
  std::vector<std::string> said;
  RunControl control;
  control.say = [&](const std::string& text) { said.push_back(text); };
  const auto result = run(job("out"), control);
  EXPECT_EQ(result.tag, "<lora:style:1>");
  EXPECT_EQ(result.trigger, "3dmm style");
  EXPECT_TRUE(std::filesystem::exists(in("out/style.safetensors")));
  EXPECT_THAT(said, Contains(HasSubstr("2 pictures, each used 1 time")));
  EXPECT_THAT(said, Contains(HasSubstr("64x64: 2")));
  EXPECT_THAT(said, Contains(HasSubstr("4 steps in 4 epochs")));
}

TEST_F(LoraJobTest, SamplePicturesShowTheLoraInTrainingAndDoNotDisturbIt) {
  LoraJob plain = job("plain"), sampled = job("sampled");
  sampled.sample_prompts = in("prompts.txt");
  sampled.sample_every_steps = 2;
  run(plain);
  std::vector<std::string> told;
  RunControl control;
  control.report = [&](const TrainEvent& event) {
    if (event.phase == "samples")
      told.push_back(std::to_string(event.step) + " of " + std::to_string(event.steps));
  };
  run(sampled, control);
  EXPECT_THAT(told, ::testing::ElementsAre("0 of 2", "1 of 2", "0 of 2", "1 of 2"));
  for (const char* name :
       {"style_000002_00.png", "style_000002_01.png", "style_000004_00.png", "style_000004_01.png"})
    EXPECT_TRUE(std::filesystem::exists(in("sampled/sample") / name)) << name;
  const auto hash = [](const std::filesystem::path& path) {
    return formats::addnet_hash(*weights::TensorFile::open(path));
  };
  EXPECT_EQ(hash(in("plain/style.safetensors")), hash(in("sampled/style.safetensors")));
  const auto early = image::load_picture(in("sampled/sample/style_000002_00.png"));
  const auto late = image::load_picture(in("sampled/sample/style_000004_00.png"));
  EXPECT_EQ(early.width, 64);
  EXPECT_NE(early, late) << "what was learned between steps 2 and 4 shows";
  const auto text = image::load_parameters(in("sampled/sample/style_000002_00.png"));
  ASSERT_TRUE(text.has_value());
  EXPECT_THAT(*text, HasSubstr("Training step: 2"));
  EXPECT_THAT(*text, HasSubstr("Seed: 5"));
}

// What one sees on the way is what the file of that step draws.
TEST_F(LoraJobTest, SamplePicturesAreThoseThatTheSavedFileDraws) {
  LoraJob sampled = job("sampled");
  sampled.sample_prompts = in("prompts.txt");
  sampled.sample_every_steps = 2;
  sampled.options.save_every_steps = 2;
  for (const bool bf16 : {false, true}) {
    sampled.options.bf16 = bf16;
    sampled.options.fresh = true;
    std::filesystem::remove_all(in("sampled/sample"));
    run(sampled);
    for (const auto& [step, lora] : {std::pair{"000002", "sampled/style-step00000002.safetensors"},
                                     {"000004", "sampled/style.safetensors"}}) {
      pipeline::Resources resources = this->resources();
      resources.lora = [&](const std::string&) { return in(lora); };
      pipeline::Session session(resources, {.threads = 1, .version = "test"});
      auto requests = read_sample_prompts(in("prompts.txt"), {64, 64});
      for (std::size_t i = 0; i < requests.size(); ++i) {
        requests[i].prompt += " <lora:style:1>";
        requests[i].checkpoint = "tiny";
        const auto expected = session.generate(requests[i]).pictures.front().picture;
        EXPECT_EQ(image::load_picture(
                      in("sampled/sample/style_" + std::string(step) + "_0" + std::to_string(i) + ".png")),
                  expected)
            << step << " " << i << (bf16 ? " bf16" : "");
      }
    }
    EXPECT_FALSE(std::filesystem::exists(in("sampled/.style-sample"))) << "nothing is left behind";
  }
  const auto metadata = weights::TensorFile::open(in("sampled/style.safetensors"))->metadata();
  EXPECT_TRUE(metadata.at("modelspec.thumbnail").starts_with("data:image/jpeg;base64,/9j/"))
      << "a JPEG's first bytes";
}

TEST_F(LoraJobTest, AResumedRunDrawsTheSamplesThatWereNotDrawnAnyMore) {
  LoraJob sampled = job("sampled");
  sampled.sample_prompts = in("prompts.txt");
  sampled.sample_every_steps = 2;
  sampled.state_every_steps = 2;
  RunControl control;
  int drawn = 0;
  control.report = [&](const TrainEvent& event) {
    if (event.phase == "samples" && ++drawn == 2) throw std::runtime_error("killed");
  };
  EXPECT_THROW(run(sampled, control), std::runtime_error);
  EXPECT_FALSE(std::filesystem::exists(in("sampled/sample/style_000002_01.png")));
  run(sampled);
  for (const char* name : {"style_000002_00.png", "style_000002_01.png", "style_000004_01.png"})
    EXPECT_TRUE(std::filesystem::exists(in("sampled/sample") / name)) << name;
  EXPECT_FALSE(std::filesystem::exists(in("sampled/sample/style_000002_00-2.png")));
}

TEST_F(LoraJobTest, SamplePicturesOfAnotherRunStay) {
  LoraJob sampled = job("sampled");
  sampled.sample_prompts = in("prompts.txt");
  write_text(in("sampled/sample/style_000004_00.png"), "mine");
  std::vector<std::string> said;
  RunControl control;
  control.say = [&](const std::string& text) { said.push_back(text); };
  run(sampled, control);
  EXPECT_EQ(std::filesystem::file_size(in("sampled/sample/style_000004_00.png")), 4u);
  EXPECT_THAT(said, Contains(HasSubstr("style_000004_00-2.png")));
  sampled.options.fresh = true;
  run(sampled);
  EXPECT_FALSE(std::filesystem::exists(in("sampled/sample/style_000004_01-2.png")))
      << "the same picture once more is there already";
}

TEST_F(LoraJobTest, SamplePromptsAreReadInKohyasForm) {
  const auto requests = read_sample_prompts(in("prompts.txt"), {64, 96});
  ASSERT_EQ(requests.size(), 2u);
  EXPECT_EQ(requests[0].prompt, "3dmm style, a disc");
  EXPECT_EQ(requests[0].negative_prompt, "ugly, blurry");
  EXPECT_EQ(requests[0].steps, 2);
  EXPECT_EQ(requests[0].seed, 5);
  EXPECT_EQ(requests[0].cfg_scale.value, 3);
  EXPECT_EQ(requests[0].sampler, "Euler");
  EXPECT_EQ(requests[0].height, 96);
  EXPECT_EQ(requests[1].prompt, "plain");
  EXPECT_EQ(requests[1].seed, 42);
  const auto error_of = [&](const std::string& text) -> std::string {
    write_text(in("bad.txt"), text);
    try {
      read_sample_prompts(in("bad.txt"), {64, 64});
    } catch (const Error& error) {
      return error.what();
    }
    return "";
  };
  EXPECT_THAT(error_of("ok\nfox --q 3"), HasSubstr("bad.txt:2: unknown option --q"));
  EXPECT_THAT(error_of("fox --s many"), HasSubstr("bad.txt:1: --s"));
  EXPECT_THAT(error_of("fox <lora:a:1>"), HasSubstr("bad.txt:1"));
  EXPECT_THAT(error_of("# nothing\n"), HasSubstr("contains no prompt"));
}

}  // namespace
}  // namespace lowrank::training
