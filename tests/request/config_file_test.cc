// Options from a TOML file: kohya's names, in tables or not.
#include "request/training/config_file.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/error.h"

namespace lowrank::request {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

LoraTraining job_of(std::string_view text) {
  LoraTraining job;
  for (const auto& setting : parse_config(text, "run.toml").settings)
    set_option(*setting.row, job, setting.text, setting.name);
  return job;
}

std::string error_of(std::string_view text) {
  try {
    job_of(text);
  } catch (const Error& error) {
    return error.what();
  }
  return "";
}

// The form of kohya's documentation: tables group, and lists stand for several words.
TEST(ConfigFile, KohyasFilesAreRead) {
  const LoraTraining job = job_of(R"(
pretrained_model_name_or_path = "sd15.safetensors"
output-name = "fox"
[dataset]
train_data_dir = 'C:\pictures'
resolution = "768,512"
enable_bucket = true
shuffle_caption = false
[training.network]
network_dim = 32
network_args = ["conv_dim=8", "conv_alpha=4"]
text_encoder_lr = [5e-5, 1e-5]
learning_rate = 1e-4
seed = 1_000
)");
  const auto& o = job.options;
  EXPECT_EQ(job.checkpoint, "sd15.safetensors");
  EXPECT_EQ(o.output_name, "fox");
  EXPECT_EQ(o.data.folder, "C:\\pictures");
  EXPECT_EQ(o.data.buckets.resolution, (PixelSize{768, 512}));
  EXPECT_TRUE(o.data.buckets.enable);
  EXPECT_FALSE(o.data.captions.shuffle);
  EXPECT_EQ(o.network_rank, 32);
  EXPECT_EQ(o.conv_rank, 8);
  EXPECT_EQ(o.conv_alpha, 4);
  EXPECT_EQ(o.text_encoder_rate(), 5e-5);
  EXPECT_EQ(o.text_encoder2_rate(), 1e-5);
  EXPECT_EQ(o.learning_rate, 1e-4);
  EXPECT_EQ(o.seed, 1000u);
  EXPECT_EQ(job_of("max_token_length = 150").options.max_token_length, 150);
}

TEST(ConfigFile, WhatIsWrongIsNamedByFileLineAndKey) {
  EXPECT_THAT(error_of("a = 1\nnetwork_dim = \n"), HasSubstr("run.toml:2: is not TOML"));
  EXPECT_THAT(error_of("\n\nnetwork_dim = 0"), HasSubstr("run.toml:3: network_dim is 0"));
  EXPECT_THAT(error_of("network_dim = \"many\""), HasSubstr("run.toml:1: network_dim is 'many'"));
  EXPECT_THAT(error_of("enable_bucket = 1"), HasSubstr("run.toml:1: enable_bucket"));
  EXPECT_THAT(error_of("seed = 2026-01-01"), HasSubstr("run.toml:1: seed must be"));
  EXPECT_THAT(error_of("network_args = [[1]]"), HasSubstr("run.toml:1: network_args must be"));
  EXPECT_THAT(error_of("network_dim = 4\n[a]\nnetwork_rank = 8"),
              AllOf(HasSubstr("run.toml:3: network_rank is set a second time"), HasSubstr("line 1")));
}

TEST(ConfigFile, KeysThatAreNoOptionsAreAllTold) {
  const ConfigFile file = parse_config(R"(
learning_rte = 1e-4
xformers = true
[b]
network_dimm = 4
)",
                                       "run.toml");
  EXPECT_TRUE(file.settings.empty());
  EXPECT_THAT(file.notes, ElementsAre(AllOf(HasSubstr("run.toml:3: xformers"), HasSubstr("kernels"))));
  ASSERT_EQ(file.unknown.size(), 2u);
  EXPECT_EQ(file.unknown[0].place + " " + file.unknown[0].key, "run.toml:2 learning_rte");
  EXPECT_EQ(file.unknown[1].place + " " + file.unknown[1].key, "run.toml:5 network_dimm");
}

}  // namespace
}  // namespace lowrank::request
