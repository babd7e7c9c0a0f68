#include "training/lora/lora_option_table.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>

#include "base/error.h"

namespace lowrank::training {
namespace {

using ::testing::HasSubstr;

LoraTrainOptions with(std::initializer_list<std::pair<std::string_view, std::string_view>> settings) {
  LoraTrainOptions options;
  for (const auto& [flag, text] : settings) set_lora_option(options, flag, text);
  return options;
}

std::string error_of(std::string_view flag, std::string_view text) {
  try {
    with({{flag, text}});
  } catch (const Error& error) {
    return error.what();
  }
  return "";
}

TEST(LoraOptionTable, KohyasCommandLineIsUnderstood) {
  const auto o = with({{"train_data_dir", "img"},
                       {"resolution", "768,512"},
                       {"enable_bucket", ""},
                       {"network_dim", "32"},
                       {"network_alpha", "16"},
                       {"network_args", "conv_dim=8 conv_alpha=4.5"},
                       {"unet-lr", "1e-4"},
                       {"text-encoder-lr", "5e-5"},
                       {"lr-scheduler", "cosine"},
                       {"max-train-epochs", "10"},
                       {"mixed-precision", "bf16"},
                       {"save-precision", "float"}});
  EXPECT_EQ(o.data.folder, "img");
  EXPECT_EQ(o.data.buckets.resolution, (PixelSize{768, 512}));
  EXPECT_TRUE(o.data.buckets.enable);
  EXPECT_EQ(o.network_rank, 32);
  EXPECT_EQ(o.network_alpha, 16);
  EXPECT_EQ(o.conv_rank, 8);
  EXPECT_EQ(o.conv_alpha, 4.5);
  EXPECT_EQ(o.unet_rate(), 1e-4);
  EXPECT_EQ(o.text_encoder_rate(), 5e-5);
  EXPECT_EQ(o.scheduler, "cosine");
  EXPECT_EQ(o.max_epochs, 10);
  EXPECT_TRUE(o.bf16);
  EXPECT_EQ(o.save_precision, SavePrecision::kFloat);
  EXPECT_EQ(with({{"resolution", "512"}}).data.buckets.resolution, (PixelSize{512, 512}));
}

TEST(LoraOptionTable, BadTextNamesItsOption) {
  EXPECT_THAT(error_of("network-dim", "many"), HasSubstr("--network-dim 'many'"));
  EXPECT_THAT(error_of("network-dim", ""), HasSubstr("--network-dim"));
  EXPECT_THAT(error_of("learning-rate", "1e"), HasSubstr("--learning-rate '1e'"));
  EXPECT_THAT(error_of("resolution", "512,"), HasSubstr("--resolution"));
  EXPECT_THAT(error_of("network-args", "algo=loha"), HasSubstr("algo=loha"));
  EXPECT_THAT(error_of("mixed-precision", "fp16"), HasSubstr("bf16"));
  EXPECT_THAT(error_of("gradient-checkpointing", ""), HasSubstr("not supported"));
  EXPECT_THAT(error_of("optimizer-type", "Prodigy"), HasSubstr("AdamW"));
  EXPECT_THAT(error_of("enable-bucket", "7"), HasSubstr("takes no value"));
  EXPECT_THAT(error_of("network-dimm", "7"), HasSubstr("network-dimm"));
}

TEST(LoraOptionTable, FlagsAreUniqueAndExplained) {
  std::set<std::string_view> seen;
  for (const auto& row : lora_option_table()) {
    EXPECT_TRUE(seen.insert(row.flag).second) << row.flag;
    EXPECT_FALSE(row.help.empty()) << row.flag;
    EXPECT_EQ(lora_option(row.flag), &row);
  }
}

}  // namespace
}  // namespace lowrank::training
