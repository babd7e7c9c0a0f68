#include "edit/resize.h"

#include <gmock/gmock.h>

#include "base/error.h"
#include "edit/extract.h"
#include "edit/family_model.h"
#include "edit/rewrite.h"

namespace lowrank::edit {
namespace {

namespace fs = std::filesystem;
using testing::FamilyModel;
using testing::job_to;
using testing::tensors_of;

class ResizeOfFamily : public ::testing::TestWithParam<fs::path> {
 protected:
  fs::path at(const std::string& name) const { return folder_.path() / (name + ".safetensors"); }
  at::NoGradGuard no_grad_;
  FamilyModel model_{GetParam()};
  lowrank::testing::TemporaryFolder folder_;
};

TEST_P(ResizeOfFamily, ToFullRankChangesNothing) {
  for (const std::string& name : model_.adapters()) {
    const fs::path a = model_.golden.adapter_path(name);
    const Report report = resize({.input = a,
                                  .base = model_.checkpoint_path(),
                                  .ranks = {.rank = 4096},
                                  .precision = Precision::kFloat32},
                                 job_to(at(name)));
    EXPECT_LT(report.error.relative(), 1e-5) << name;
    EXPECT_LT(testing::distance(model_.run({{at(name)}}), model_.run({{a}})), 1e-3) << name;
  }
}

// A split LoRA's parts are the LoRA, and one scaled is the one drawn at that weight.
TEST_P(ResizeOfFamily, PartsAndOtherWeightsDrawWhatTagsDraw) {
  int scaled = 0;
  for (const std::string& name : model_.adapters()) {
    const fs::path a = model_.golden.adapter_path(name);
    try {
      scale({.path = a, .te = 0.6, .unet = -0.5, .text = "x"}, job_to(at(name + "-scaled")));
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), kBadInput) << error.what();
      continue;
    }
    ++scaled;
    EXPECT_LT(testing::distance(model_.run({{at(name + "-scaled")}}), model_.run({{a, 0.6, -0.5}})), 1e-3)
        << name;
  }
  EXPECT_GT(scaled, 0);
}

INSTANTIATE_TEST_SUITE_P(Families, ResizeOfFamily, ::testing::ValuesIn(testing::family_folders()),
                         [](const auto& set) { return lowrank::testing::GoldenModel::test_name(set.param); });

// The rules by their definitions, on the spectrum 4, 3, 2, 1: sums 10, of squares 30.
TEST(Ranks, FollowTheirRules) {
  const at::Tensor values = at::tensor({4.0, 3.0, 2.0, 1.0}, at::kDouble);
  const auto kept = [&](RankRule rule, double value, std::optional<std::int64_t> rank = {}) {
    return kept_by({.rule = rule, .value = value, .rank = rank}, values, 4);
  };
  EXPECT_EQ(kept(RankRule::kRatio, 1), 1);    // nothing is above 4: at least one
  EXPECT_EQ(kept(RankRule::kRatio, 2.5), 3);  // above 1.6
  EXPECT_EQ(kept(RankRule::kCumulative, 0.7), 2);
  EXPECT_EQ(kept(RankRule::kCumulative, 0.71), 3);
  EXPECT_EQ(kept(RankRule::kFrobenius, 0.9), 2);   // √(25/30) = 0.913
  EXPECT_EQ(kept(RankRule::kFrobenius, 0.92), 3);  // √(29/30) = 0.983
  EXPECT_EQ(kept(RankRule::kFrobenius, 1), 4);
  EXPECT_EQ(kept(RankRule::kFrobenius, 1, 2), 2);
}

TEST(Ranks, ASizeGoesWhereItGivesMost) {
  const std::vector<LayerSpectrum> layers = {{at::tensor({3.0, 1.0}, at::kDouble), 10},
                                             {at::tensor({5.0, 4.0}, at::kDouble), 20}};
  // 16/20 a byte against 1/10: the second layer's second value comes first, then what still fits.
  EXPECT_THAT(spread(layers, 50), ::testing::ElementsAre(1, 2));
  EXPECT_THAT(spread(layers, 45), ::testing::ElementsAre(2, 1));
  EXPECT_THAT(spread(layers, 60), ::testing::ElementsAre(2, 2));
  EXPECT_THROW(spread(layers, 29), Error);
}

TEST(Resize, AFileTakesAtMostTheSizeAskedFor) {
  lowrank::testing::TemporaryFolder folder;
  const fs::path input = fs::path(LOWRANK_SOURCE_DIR) / "models/starter/lora/3dmm_style.safetensors";
  const fs::path output = folder.path() / "small.safetensors";
  resize({.input = input, .ranks = {.rule = RankRule::kSize, .value = 0.3}}, job_to(output));
  EXPECT_LE(fs::file_size(output), 300'000u);
  EXPECT_GT(fs::file_size(output), 250'000u);
}

class ExtractOfFamily : public ::testing::TestWithParam<fs::path> {};

// Baked into a float32 checkpoint by the definition W + Δ, extracted with the LoRA's own rank, it draws the same again.
TEST_P(ExtractOfFamily, GivesTheLoraBack) {
  const at::NoGradGuard no_grad;
  lowrank::testing::TemporaryFolder folder;
  FamilyModel model(GetParam());
  const fs::path base = folder.path() / "base.safetensors", tuned = folder.path() / "tuned.safetensors";
  const auto file = weights::TensorFile::open(model.checkpoint_path());
  tensor::StateDict state, changed;
  for (const auto& view : file->tensors()) {
    at::Tensor value = tensor::as_tensor(view, file);
    if (value.is_floating_point()) value = value.to(at::kFloat);
    state.emplace(view.name, value);
    changed.emplace(view.name, value);
  }
  const std::string root = "model.diffusion_model.";
  at::manual_seed(5);
  int layers = 0;
  std::map<std::string, at::Tensor> truth;
  for (auto& [name, value] : changed) {
    if (!name.starts_with(root) || !name.ends_with(".weight") || value.dim() < 2 ||
        name.find("attn") == name.npos)
      continue;
    const at::Tensor delta =
        at::matmul(at::randn({value.size(0), 2}), at::randn({2, value.numel() / value.size(0)})) * 0.01;
    value = value + delta.reshape(value.sizes());
    truth.emplace(name, delta);
    ++layers;
  }
  ASSERT_GT(layers, 0);
  tensor::save_state_dict(base.string(), state, file->metadata());
  tensor::save_state_dict(tuned.string(), changed, file->metadata());
  const fs::path lora = folder.path() / "lora.safetensors";
  const Report report = extract(
      {.base = base, .tuned = tuned, .ranks = {.rank = 2}, .precision = Precision::kFloat32}, job_to(lora));
  EXPECT_EQ(report.layers, layers);
  EXPECT_LT(report.error.relative(), 1e-4);
  const FamilyModel before(GetParam(), base), after(GetParam(), tuned);
  const double far = testing::distance(after.run(), before.run());
  EXPECT_GT(far, 1e-3);
  EXPECT_LT(testing::distance(before.run({{lora}}), after.run()), std::min(1e-3, far / 20));
}

INSTANTIATE_TEST_SUITE_P(Families, ExtractOfFamily, ::testing::ValuesIn(testing::family_folders()),
                         [](const auto& set) { return lowrank::testing::GoldenModel::test_name(set.param); });

TEST(Extract, EqualCheckpointsHaveNothingToExtract) {
  lowrank::testing::TemporaryFolder folder;
  const FamilyModel model(testing::family_folders()[0]);
  EXPECT_THROW(
      extract({.base = model.checkpoint_path(), .tuned = model.checkpoint_path(), .ranks = {.rank = 2}},
              job_to(folder.path() / "none.safetensors")),
      Error);
}

// What stands in the file is what was asked for, the numbers are untouched, and the file itself is replaced only if allowed.
TEST(Rewrite, MetadataChangeAndTensorsDoNot) {
  lowrank::testing::TemporaryFolder folder;
  const fs::path input = folder.path() / "fox.safetensors";
  fs::copy(fs::path(LOWRANK_SOURCE_DIR) / "models/starter/lora/3dmm_style.safetensors", input);
  const auto before = weights::TensorFile::open(input);
  EXPECT_THROW(set(input, {assignment_of("title=Foxes")}, Job{}), Error);
  set(input, {assignment_of("title=Foxes"), assignment_of("trigger=foxy"), assignment_of("ss_seed=")},
      {.output = {}, .overwrite = Overwrite::kYes});
  const auto after = weights::TensorFile::open(input);
  EXPECT_EQ(after->metadata().at("modelspec.title"), "Foxes");
  EXPECT_EQ(after->metadata().at("modelspec.trigger_phrase"), "foxy");
  EXPECT_EQ(after->metadata().count("ss_seed"), 0u);
  EXPECT_EQ(after->metadata().at("sshs_model_hash"), before->metadata().at("sshs_model_hash"));
  for (const auto& view : before->tensors())
    EXPECT_TRUE(std::ranges::equal(view.bytes, after->find(view.name)->bytes)) << view.name;
  const fs::path bare = folder.path() / "bare.safetensors";
  strip(input, {.keep = {"modelspec.trigger_phrase"}}, job_to(bare));
  const auto stripped = weights::TensorFile::open(bare);
  EXPECT_EQ(stripped->metadata().count("ss_tag_frequency"), 0u);
  EXPECT_EQ(stripped->metadata().at("modelspec.trigger_phrase"), "foxy");
  EXPECT_THROW(assignment_of("resolution=big"), Error);
  EXPECT_THROW(assignment_of("sshs_model_hash=00"), Error);
  EXPECT_THROW(assignment_of("title"), Error);
}

}  // namespace
}  // namespace lowrank::edit
