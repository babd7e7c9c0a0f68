#include "edit/merge.h"

#include <gmock/gmock.h>

#include <algorithm>
#include <fstream>

#include "base/error.h"
#include "edit/family_model.h"
#include "formats/hashes.h"
#include "weights/tensor_writer.h"

namespace lowrank::edit {
namespace {

namespace fs = std::filesystem;
using testing::FamilyModel;
using testing::job_to;
using testing::tensors_of;

std::string message_of(const std::function<void()>& action) {
  try {
    action();
  } catch (const Error& error) {
    return error.what();
  }
  return "";
}

fs::path write_lora(const fs::path& path, const std::map<std::string, at::Tensor>& tensors,
                    const std::map<std::string, std::string>& metadata = {}) {
  tensor::save_state_dict(path.string(), tensor::StateDict(tensors.begin(), tensors.end()), metadata);
  return path;
}

constexpr const char* kLayer = "lora_unet_mid_block_attentions_0_proj_in";

// A LoRA of one layer [out, in] with these factors.
fs::path one_layer(const fs::path& path, const at::Tensor& up, const at::Tensor& down, double alpha,
                   const std::map<std::string, std::string>& metadata = {}) {
  const std::string name = kLayer;
  return write_lora(path,
                    {{name + ".lora_up.weight", up},
                     {name + ".lora_down.weight", down},
                     {name + ".alpha", at::full({}, alpha)}},
                    metadata);
}

at::Tensor change_in(const fs::path& path) {
  auto tensors = tensors_of(path);
  const std::string name = kLayer;
  const at::Tensor down = tensors.at(name + ".lora_down.weight"), up = tensors.at(name + ".lora_up.weight");
  const double scale = tensors.at(name + ".alpha").item<double>() / static_cast<double>(down.size(0));
  return at::matmul(up.flatten(1), down.flatten(1)) * scale;
}

class MergeOfFamily : public ::testing::TestWithParam<fs::path> {
 protected:
  at::NoGradGuard no_grad_;
  FamilyModel model_{GetParam()};
  lowrank::testing::TemporaryFolder folder_;
};

// Every kind beside another one, the last beside the first.
TEST_P(MergeOfFamily, TheFileAtOneDrawsWhatTheTagsDraw) {
  const auto names = model_.adapters();
  for (std::size_t i = 0; i < names.size(); ++i) {
    const fs::path a = model_.golden.adapter_path(names[i]);
    const fs::path b = model_.golden.adapter_path(names[(i + 1) % names.size()]);
    const fs::path merged = folder_.path() / (names[i] + ".safetensors");
    const Report report =
        merge({.inputs = {{.path = a, .te = 0.8, .unet = 0.7}, {.path = b, .te = -0.3, .unet = 0.4}},
               .base = model_.checkpoint_path(),
               .precision = Precision::kFloat32},
              job_to(merged));
    const auto tags = model_.run({{a, 0.8, 0.7}, {b, -0.3, 0.4}});
    EXPECT_GT(testing::distance(tags, model_.run()), 1e-3) << names[i] << ": the tags change nothing";
    EXPECT_LT(testing::distance(model_.run({{merged}}), tags), 1e-3) << names[i];
    EXPECT_GT(report.layers, 0);
  }
}

TEST_P(MergeOfFamily, OneFileAtOneIsItself) {
  for (const std::string& name : model_.adapters()) {
    const fs::path a = model_.golden.adapter_path(name), merged = folder_.path() / (name + ".safetensors");
    const bool is_whole = std::ranges::all_of(formats::open_lora(a).entries, [](const auto& entry) {
      return !entry.alpha || entry.parts.contains("alpha");
    });
    MergeOptions options{.inputs = {{.path = a}}};
    if (!is_whole) options.base = model_.checkpoint_path();
    merge(options, job_to(merged));
    if (!is_whole) {  // its scales stood in settings: the file has other names now and does the same
      EXPECT_LT(testing::distance(model_.run({{merged}}), model_.run({{a}})), 1e-3) << name;
      continue;
    }
    const auto before = weights::TensorFile::open(a), after = weights::TensorFile::open(merged);
    ASSERT_EQ(before->tensors().size(), after->tensors().size()) << name;
    for (const auto& view : before->tensors()) {
      const auto* same = after->find(view.name);
      ASSERT_NE(same, nullptr) << view.name;
      EXPECT_TRUE(std::ranges::equal(view.bytes, same->bytes)) << view.name;
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Families, MergeOfFamily, ::testing::ValuesIn(testing::family_folders()),
                         [](const auto& set) { return lowrank::testing::GoldenModel::test_name(set.param); });

class Merge : public ::testing::Test {
 protected:
  fs::path at(const std::string& name) const { return folder_.path() / (name + ".safetensors"); }
  lowrank::testing::TemporaryFolder folder_;
};

// The sum of products is formed in float64, by the definition.
TEST_F(Merge, DifferentRanksAndAlphasAreJoinedExactly) {
  at::manual_seed(1);
  const at::Tensor up1 = at::randn({12, 3}), down1 = at::randn({3, 20}), up2 = at::randn({12, 5}),
                   down2 = at::randn({5, 20});
  one_layer(at("a"), up1, down1, 1.5);
  one_layer(at("b"), up2, down2, 7);
  merge({.inputs = {{.path = at("a"), .te = 0, .unet = 0.6}, {.path = at("b"), .te = 0, .unet = -1.3}}},
        job_to(at("c")));
  const at::Tensor expected = (at::matmul(up1.to(at::kDouble), down1.to(at::kDouble)) * (0.6 * 1.5 / 3) +
                               at::matmul(up2.to(at::kDouble), down2.to(at::kDouble)) * (-1.3 * 7 / 5));
  EXPECT_LT((change_in(at("c")).to(at::kDouble) - expected).abs().max().item<double>(), 1e-5);
  EXPECT_EQ(tensors_of(at("c")).at(std::string(kLayer) + ".lora_down.weight").size(0), 8);
}

// Weights that are powers of two of one another fold into alpha: the factors are the parents' own numbers.
TEST_F(Merge, FactorsInFloat16StayBitForBit) {
  at::manual_seed(2);
  const at::Tensor up1 = at::randn({8, 2}).to(at::kHalf), down1 = at::randn({2, 6}).to(at::kHalf);
  const at::Tensor up2 = at::randn({8, 2}).to(at::kHalf), down2 = at::randn({2, 6}).to(at::kHalf);
  one_layer(at("a"), up1, down1, 2);
  one_layer(at("b"), up2, down2, 2);
  const Report report =
      merge({.inputs = {{.path = at("a"), .unet = 0.3}, {.path = at("b"), .unet = 0.3}}}, job_to(at("c")));
  const auto tensors = tensors_of(at("c"));
  const std::string name = kLayer;
  EXPECT_TRUE(at::equal(tensors.at(name + ".lora_down.weight"), at::cat({down1, down2}, 0).to(at::kFloat)));
  EXPECT_TRUE(at::equal(tensors.at(name + ".lora_up.weight"), at::cat({up1, up2}, 1).to(at::kFloat)));
  EXPECT_THAT(report.notes, ::testing::IsEmpty());
}

TEST_F(Merge, TheOrderOfParentsDoesNotMatter) {
  at::manual_seed(3);
  one_layer(at("a"), at::randn({8, 2}), at::randn({2, 6}), 2);
  one_layer(at("b"), at::randn({8, 3}), at::randn({3, 6}), 2);
  const MergeInput a{.path = at("a"), .unet = 0.3}, b{.path = at("b"), .unet = 0.9};
  merge({.inputs = {a, b}}, job_to(at("c")));
  merge({.inputs = {b, a}}, job_to(at("d")));
  EXPECT_LT((change_in(at("c")) - change_in(at("d"))).abs().max().item<double>(), 1e-5);
}

// Eckart and Young: no matrix of that rank comes nearer; the error is that of the singular values left out.
TEST_F(Merge, ReducedToARankItIsTheBestOfThatRank) {
  at::manual_seed(4);
  const at::Tensor up1 = at::randn({30, 6}), down1 = at::randn({6, 40}), up2 = at::randn({30, 6}),
                   down2 = at::randn({6, 40});
  one_layer(at("a"), up1, down1, 6);
  one_layer(at("b"), up2, down2, 6);
  const Report report =
      merge({.inputs = {{.path = at("a"), .unet = 0.5}, {.path = at("b")}}, .rank = 4}, job_to(at("c")));
  const at::Tensor whole = (at::matmul(up1, down1) * 0.5 + at::matmul(up2, down2)).to(at::kDouble);
  const at::Tensor values = at::linalg_svdvals(whole);
  const double best =
      values.narrow(0, 4, values.size(0) - 4).norm().item<double>() / whole.norm().item<double>();
  const double own =
      (change_in(at("c")).to(at::kDouble) - whole).norm().item<double>() / whole.norm().item<double>();
  EXPECT_NEAR(own, best, 1e-5);
  EXPECT_NEAR(report.error.relative(), best, 1e-5);
}

TEST_F(Merge, MetadataOfAllParentsAreCarried) {
  one_layer(at("a"), at::ones({4, 1}), at::ones({1, 4}), 1,
            {{"ss_tag_frequency", R"({"10_fox":{"fox":3}})"},
             {"modelspec.trigger_phrase", "fox"},
             {"ss_v2", "False"},
             {"note", "of a"}});
  one_layer(at("b"), at::ones({4, 1}), at::ones({1, 4}), 1,
            {{"ss_tag_frequency", R"({"10_fox":{"fox":4},"5_owl":{"owl":1}})"},
             {"modelspec.trigger_phrase", "owl"},
             {"ss_v2", "False"},
             {"note", "of b"}});
  merge({.inputs = {{.path = at("a"), .text = "0.5"}, {.path = at("b"), .text = "1"}}}, job_to(at("c")));
  const auto file = weights::TensorFile::open(at("c"));
  auto metadata = file->metadata();
  EXPECT_EQ(metadata["ss_tag_frequency"], R"({"10_fox":{"fox":7},"5_owl":{"owl":1}})");
  EXPECT_EQ(metadata["modelspec.trigger_phrase"], "fox, owl");
  EXPECT_EQ(metadata["modelspec.merged_from"], "a, b");
  EXPECT_EQ(metadata["ss_network_dim"], "2");
  EXPECT_EQ(metadata.count("note"), 0u);
  EXPECT_THAT(metadata["lowrank.parents"], ::testing::HasSubstr(R"("note":"of a")"));
  EXPECT_THAT(metadata["lowrank.parents"], ::testing::HasSubstr(R"("note":"of b")"));
  EXPECT_THAT(metadata["lowrank.parents"], ::testing::HasSubstr(R"("weight":"0.5")"));
}

// As kohya's programs compute them: of the file's data, and of the file with ss_* metadata alone.
TEST_F(Merge, TheHashesAreThoseOfTheFile) {
  one_layer(at("a"), at::ones({700, 300}), at::ones({300, 700}), 1, {{"ss_v2", "False"}, {"other", "x"}});
  merge({.inputs = {{.path = at("a"), .unet = 0.5}}}, job_to(at("c")));
  const auto file = weights::TensorFile::open(at("c"));
  EXPECT_EQ(file->metadata().at("sshs_model_hash"), formats::addnet_hash(*file));
  EXPECT_EQ(file->metadata().at("modelspec.hash_sha256"), "0x" + formats::addnet_hash(*file));
  std::map<std::string, std::string> own;
  for (const auto& [key, value] : file->metadata())
    if (key.starts_with("ss_")) own.emplace(key, value);
  weights::write_safetensors(at("d"), file->tensors(), own);
  EXPECT_EQ(file->metadata().at("sshs_legacy_hash"),
            formats::auto_v1(weights::TensorFile::open(at("d"))->file_bytes()));
}

TEST_F(Merge, WhatMakesNoSenseIsRefusedAndNothingIsWritten) {
  const at::Tensor up = at::ones({4, 1}), down = at::ones({1, 6});
  one_layer(at("a"), up, down, 1);
  one_layer(at("other"), at::ones({5, 1}), down, 1);
  one_layer(at("nan"), up * std::numeric_limits<float>::quiet_NaN(), down, 1);
  write_lora(at("dora"), {{std::string(kLayer) + ".lora_up.weight", up},
                          {std::string(kLayer) + ".lora_down.weight", down},
                          {std::string(kLayer) + ".dora_scale", at::ones({4, 1})}});
  const fs::path out = at("out");
  const auto refusal = [&](const MergeOptions& options) {
    const std::string text = message_of([&] { merge(options, job_to(out)); });
    EXPECT_FALSE(fs::exists(out));
    return text;
  };
  const MergeInput a{.path = at("a")};
  EXPECT_THAT(refusal({.inputs = {a, {.path = at("other")}}}), ::testing::HasSubstr("[4, 6]"));
  EXPECT_THAT(refusal({.inputs = {a, {.path = at("nan")}}}), ::testing::HasSubstr("NaN"));
  EXPECT_THAT(refusal({.inputs = {a, {.path = at("nan")}}, .rank = 1}), ::testing::HasSubstr("NaN"));
  EXPECT_THAT(refusal({.inputs = {{.path = at("nan")}}}), ::testing::HasSubstr("NaN"));
  EXPECT_THAT(refusal({.inputs = {a, {.path = at("dora")}}}), ::testing::HasSubstr("--base"));
  EXPECT_THAT(refusal({.inputs = {{.path = at("a"), .te = 0, .unet = 0}}}), ::testing::HasSubstr("nothing"));
  EXPECT_THAT(message_of([&] {
                merge({.inputs = {a, a}}, job_to(at("a")));
              }),
              ::testing::HasSubstr("already there"));
  EXPECT_THAT(message_of([&] {
                merge({.inputs = {a, a}}, {.output = at("a"), .overwrite = Overwrite::kYes});
              }),
              ::testing::HasSubstr("is one of the files that are read"));
  for (const auto& entry : fs::directory_iterator(folder_.path()))
    EXPECT_FALSE(entry.path().filename().string().ends_with(".part"));
}

TEST_F(Merge, FamiliesAreNotMixed) {
  const fs::path fixtures = LOWRANK_TEST_FIXTURES;
  const std::string text = message_of([&] {
    merge({.inputs = {{.path = fixtures / "family-loras/sd1-kohya-lora.safetensors"},
                      {.path = fixtures / "family-loras/sdxl-kohya-lora.safetensors"}}},
          job_to(at("c")));
  });
  EXPECT_THAT(text, ::testing::HasSubstr("SDXL"));
  EXPECT_THAT(text, ::testing::HasSubstr("one family"));
}

TEST_F(Merge, AStopLeavesNothing) {
  one_layer(at("a"), at::ones({4, 1}), at::ones({1, 6}), 1);
  std::stop_source stop;
  stop.request_stop();
  Job job = job_to(at("c"));
  job.stop = stop.get_token();
  EXPECT_THROW(merge({.inputs = {{.path = at("a"), .unet = 0.5}}}, job), Error);
  EXPECT_FALSE(fs::exists(at("c")));
}

}  // namespace
}  // namespace lowrank::edit
