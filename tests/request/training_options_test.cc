// The tables of training options: what every row must keep, whatever it is about.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <set>

#include "base/error.h"
#include "request/field_table.h"
#include "request/serve_table.h"
#include "request/training/base_table.h"
#include "request/training/lora_presets.h"
#include "request/training/lora_table.h"

namespace lowrank::request {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

LoraTraining with(std::initializer_list<std::pair<std::string_view, std::string_view>> settings) {
  LoraTraining job;
  for (const auto& [flag, text] : settings) {
    const auto* row = find_lora_option(flag);
    if (row == nullptr) throw Error(kBadInput, "{} is unknown", flag);
    set_option(*row, job, text, flag);
  }
  return job;
}

template <class Job>
std::string error_of(const OptionOf<Job>& row, std::string_view text) {
  Job job;
  try {
    set_option(row, job, text, "--" + std::string(row.flag));
  } catch (const Error& error) {
    return error.what();
  }
  return "";
}

std::string error_of(std::string_view flag, std::string_view text) {
  return error_of(*find_lora_option(flag), text);
}

TEST(TrainingOptions, KohyasCommandLineIsUnderstood) {
  const auto job = with({{"train_data_dir", "img"},
                         {"pretrained_model_name_or_path", "sd"},
                         {"resolution", "768,512"},
                         {"enable_bucket", ""},
                         {"network_dim", "32"},
                         {"network_alpha", "16"},
                         {"network_args", "conv_dim=8 conv_alpha=4.5"},
                         {"network_train_unet_only", ""},
                         {"unet-lr", "1e-4"},
                         {"text-encoder-lr", "5e-5"},
                         {"lr-scheduler", "cosine"},
                         {"optimizer_type", "adamw"},
                         {"max-train-epochs", "10"},
                         {"mixed-precision", "bf16"},
                         {"save-precision", "float"}});
  const auto& o = job.options;
  EXPECT_EQ(job.checkpoint, "sd");
  EXPECT_EQ(o.data.folder, "img");
  EXPECT_EQ(o.data.buckets.resolution, (PixelSize{768, 512}));
  EXPECT_TRUE(o.data.buckets.enable);
  EXPECT_EQ(o.network_rank, 32);
  EXPECT_EQ(o.network_alpha, 16);
  EXPECT_EQ(o.conv_rank, 8);
  EXPECT_EQ(o.conv_alpha, 4.5);
  EXPECT_FALSE(o.train_text_encoder);
  EXPECT_EQ(o.unet_rate(), 1e-4);
  EXPECT_EQ(o.text_encoder_rate(), 5e-5);
  EXPECT_EQ(o.scheduler, "cosine");
  EXPECT_EQ(o.optimiser, "AdamW");
  EXPECT_EQ(o.max_epochs, 10);
  EXPECT_TRUE(o.bf16);
  EXPECT_EQ(o.save_precision, SavePrecision::kFloat);
  EXPECT_EQ(with({{"resolution", "512"}}).options.data.buckets.resolution, (PixelSize{512, 512}));
  EXPECT_TRUE(with({{"network_train_unet_only", "false"}}).options.train_text_encoder);
}

// kohya's --text_encoder_lr takes several.
TEST(TrainingOptions, EachTextEncoderOfSdxlHasItsRate) {
  const auto one = with({{"learning_rate", "1e-4"}, {"text_encoder_lr", "5e-5"}}).options;
  EXPECT_EQ(one.text_encoder_rate(), 5e-5);
  EXPECT_EQ(one.text_encoder2_rate(), 5e-5);
  for (const char* text : {"5e-5 0", "5e-5,0", "5e-5, 0"}) {
    const auto two = with({{"learning_rate", "1e-4"}, {"text_encoder_lr", text}});
    EXPECT_EQ(two.options.text_encoder_rate(), 5e-5) << text;
    EXPECT_EQ(two.options.text_encoder2_rate(), 0) << text;
    const auto& row = *find_lora_option("text-encoder-lr");
    EXPECT_EQ(with({{"text_encoder_lr", option_text(row, two)}}).options.text_encoder2_rate(), 0);
    EXPECT_EQ(option_note(row, two), "[5e-05, 0.0]") << "as Python writes a list";
  }
  // What is said later counts.
  const auto again = with({{"text_encoder_lr", "5e-5 1e-5"}, {"text_encoder_lr", "2e-5"}}).options;
  EXPECT_EQ(again.text_encoder2_rate(), 2e-5);
  EXPECT_EQ(with({{"learning_rate", "1e-4"}}).options.text_encoder2_rate(), 1e-4);
  for (const char* text : {"1e-4 1e-5 1e-6", "fast", "1e-4 fast", "-1", "1e-4 11", "nan", ","})
    EXPECT_THAT(error_of("text-encoder-lr", text), HasSubstr("--text-encoder-lr is '")) << text;
}

TEST(TrainingOptions, BadTextNamesItsOption) {
  EXPECT_THAT(error_of("network-dim", "many"), HasSubstr("--network-dim is 'many'"));
  EXPECT_THAT(error_of("network-dim", "4.5"), HasSubstr("whole number"));
  EXPECT_THAT(error_of("network-dim", "99999999999999999999"), HasSubstr("out of range"));
  EXPECT_THAT(error_of("network-dim", ""), HasSubstr("--network-dim"));
  EXPECT_THAT(error_of("learning-rate", "1e"), HasSubstr("--learning-rate is '1e'"));
  EXPECT_THAT(error_of("learning-rate", "nan"), HasSubstr("--learning-rate is 'nan'"));
  EXPECT_THAT(error_of("resolution", "512,"), HasSubstr("--resolution"));
  EXPECT_THAT(error_of("network-args", "algo=loha"), HasSubstr("algo=loha"));
  EXPECT_THAT(error_of("network-args", "conv_dim=1.5"), HasSubstr("conv_dim"));
  EXPECT_THAT(error_of("network-args", "conv_dim=4 conv_alpha=-1"), HasSubstr("conv_alpha must be between"));
  EXPECT_THAT(error_of("mixed-precision", "fp16"), HasSubstr("bf16"));
  EXPECT_THAT(error_of("optimizer-type", "Prodigious"), HasSubstr("AdamW"));
  EXPECT_THAT(error_of("lr-scheduler", "warp"), AllOf(HasSubstr("warp"), HasSubstr("constant_with_warmup")));
  EXPECT_THAT(error_of("enable-bucket", "7"), HasSubstr("takes no value"));
  EXPECT_THAT(error_of("network-train-unet-only", "7"), HasSubstr("takes no value"));
  EXPECT_THAT(error_of("seed", "-1"), HasSubstr("at least 0"));
  EXPECT_EQ(find_lora_option("network-dimm"), nullptr);
  EXPECT_EQ(find_lora_option(""), nullptr);
}

TEST(TrainingOptions, BadValuesAreFoundInAWholeJobToo) {
  const auto message = [](auto change) -> std::string {
    LoraTraining job;
    change(job.options);
    try {
      check_options(job);
    } catch (const Error& error) {
      return error.what();
    }
    return "";
  };
  EXPECT_EQ(message([](auto&) {}), "");
  EXPECT_THAT(message([](auto& o) { o.network_rank = 0; }), HasSubstr("--network-dim"));
  EXPECT_THAT(message([](auto& o) { o.conv_rank = -1; }), HasSubstr("--network-args"));
  EXPECT_THAT(message([](auto& o) { o.learning_rate = -1; }), HasSubstr("--learning-rate"));
  EXPECT_THAT(message([](auto& o) { o.learning_rate = NAN; }), HasSubstr("--learning-rate"));
  EXPECT_THAT(message([](auto& o) { o.scheduler = "warp"; }), HasSubstr("warp"));
  EXPECT_THAT(message([](auto& o) { o.optimiser = "warp"; }), HasSubstr("warp"));
  EXPECT_THAT(message([](auto& o) { o.data.captions.dropout_rate = 2; }),
              HasSubstr("--caption-dropout-rate"));
  // Hidden files, what stands in no tag, names of the trainer's own files, and names that leave no room for those.
  for (const std::string& name : {std::string(), std::string("a/b"), std::string(".."), std::string(".fox"),
                                  std::string("a\nb"), std::string("a\xff"), std::string("fox.safetensors"),
                                  std::string("fox-state"), std::string(230, 'x')})
    EXPECT_THAT(message([&](auto& o) { o.output_name = name; }), HasSubstr("--output-name")) << name;
  EXPECT_EQ(message([](auto& o) { o.output_name = "My füchse v1.5: (2)"; }), "");
  EXPECT_THAT(message([](auto& o) { o.max_steps = 0; }), HasSubstr("--max-train-steps"));
  EXPECT_THAT(message([](auto& o) { o.train_unet = o.train_text_encoder = false; }),
              HasSubstr("--network-train-unet-only"));
}

// A preset is a start for a form: each value must be one that the option takes, and all set the same options.
TEST(LoraPresets, HoldValuesThatTheOptionsTake) {
  ASSERT_FALSE(lora_presets().empty());
  for (const LoraPreset& preset : lora_presets()) {
    for (std::size_t i = 0; i < preset.options.size(); ++i) {
      const auto& [flag, value, why] = preset.options[i];
      EXPECT_FALSE(why.empty()) << preset.name << " " << flag;
      EXPECT_EQ(flag, lora_presets().front().options[i].flag) << preset.name;
      const LoraOption* row = find_lora_option(flag);
      ASSERT_NE(row, nullptr) << flag;
      EXPECT_EQ(error_of(*row, value), "") << preset.name;
    }
  }
}

// What a form shows lies within what a request takes.
TEST(FormTraits, LieWithinTheRangesOfTheirRows) {
  int sliders = 0;
  for (const FieldRow& row : field_table()) {
    const FormTraits& form = row.traits.form;
    if (!form.first_value.empty()) {
      GenerationRequest request;
      EXPECT_NO_THROW(set_field(request, row, form.first_value, row.flag)) << row.flag;
    }
    if (std::isfinite(form.min)) {
      EXPECT_GE(form.min, row.min) << row.flag;
    }
    if (std::isfinite(form.max)) {
      EXPECT_LE(form.max, row.max) << row.flag;
    }
    sliders += std::isfinite(form.max) ? 1 : 0;
  }
  EXPECT_GT(sliders, 2);
  for (const LoraOption& row : lora_options())
    EXPECT_EQ(row.form.first_value.empty() ? "" : error_of(row, row.form.first_value), "") << row.flag;
}

template <class Job>
class EveryRow : public ::testing::Test {
 public:
  static std::span<const OptionOf<Job>> rows();
};
template <>
std::span<const LoraOption> EveryRow<LoraTraining>::rows() {
  return lora_options();
}
template <>
std::span<const BaseOption> EveryRow<BaseTraining>::rows() {
  return base_options();
}
template <>
std::span<const ServeOption> EveryRow<ServeOptions>::rows() {
  return serve_options();
}
using Jobs = ::testing::Types<LoraTraining, BaseTraining, ServeOptions>;
TYPED_TEST_SUITE(EveryRow, Jobs);

TYPED_TEST(EveryRow, HasANameOfItsOwn) {
  std::set<std::string_view> names;
  for (const auto& row : TestFixture::rows()) {
    EXPECT_TRUE(names.insert(row.flag).second) << row.flag;
    for (const auto alias : row.aliases) EXPECT_TRUE(alias.empty() || names.insert(alias).second) << alias;
    EXPECT_EQ(find_option(TestFixture::rows(), field_name(row.flag)), &row);
    EXPECT_TRUE(!row.only_choices || (row.choices != nullptr && !row.choices().empty())) << row.flag;
  }
}

TYPED_TEST(EveryRow, TakesItsOwnDefaultAndItsLimitsAndNothingBeyond) {
  for (const auto& row : TestFixture::rows()) {
    const std::string default_text = option_text(row, TypeParam());
    EXPECT_EQ(default_text.empty() ? "" : error_of(row, default_text), "") << row.flag;
    const auto type = option_type(row);
    if (type != "integer" && type != "number") continue;
    const auto expect = [&](double value, bool is_taken) {
      const std::string error =
          error_of(row, type == "integer" ? fmt::format("{:.0f}", value) : fmt::format("{}", value));
      EXPECT_EQ(error.empty(), is_taken) << row.flag << " " << value << " " << error;
      EXPECT_TRUE(is_taken || error.find(row.flag) != std::string::npos) << error;
    };
    if (row.only_choices) continue;
    const double beyond = type == "integer" ? 1 : 1e-3;
    EXPECT_TRUE(std::isfinite(row.min)) << row.flag;
    expect(row.min, true);
    expect(row.min - beyond, false);
    if (!std::isfinite(row.max)) continue;
    expect(row.max, true);
    expect(row.max + beyond, false);
  }
}

// A value that was set is told again as the text that sets it: resume key, metadata and help depend on it.
TYPED_TEST(EveryRow, TellsAValueAsTheTextThatSetsIt) {
  for (const auto& row : TestFixture::rows()) {
    TypeParam job;
    std::string text = "3";
    if (row.is_switch()) text = option_text(row, job) == "true" ? "false" : "true";
    if (row.choices != nullptr) text = row.choices().back();
    if (row.flag == "network-args") text = "conv_dim=3 conv_alpha=2";
    if (row.flag == "optimizer-args") text = "eps=0.001";
    if (row.flag == "resolution") text = "64,32";
    if (row.max < 3) text = fmt::format("{}", row.max / 2);
    if (row.min > 3) text = fmt::format("{}", row.min + 1);
    set_option(row, job, text, row.flag);
    EXPECT_EQ(option_text(row, job), text) << row.flag;
  }
}

}  // namespace
}  // namespace lowrank::request
