// The text encoder, U-Net and VAE against CompVis' and OpenAI's reference modules (tests/fixtures/README.md).
#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>
#include <gtest/gtest.h>

#include "model/text_encoder.h"
#include "model/unet.h"
#include "model/vae.h"
#include "support/expect_close.h"
#include "support/golden_model.h"

namespace lowrank {
namespace {

class ModelGolden : public ::testing::Test {
 protected:
  static void SetUpTestSuite() {
    golden_ = new testing::GoldenModel(testing::GoldenModel::open());
    checkpoint_ = new formats::Checkpoint(formats::open_checkpoint(golden_->checkpoint_path()));
  }
  static tensor::StateDict state(const formats::ParameterViews& views) {
    return tensor::as_state_dict(views, checkpoint_->files.front());
  }
  static testing::GoldenModel* golden_;
  static formats::Checkpoint* checkpoint_;
  at::NoGradGuard no_grad_;
};
testing::GoldenModel* ModelGolden::golden_ = nullptr;
formats::Checkpoint* ModelGolden::checkpoint_ = nullptr;

TEST_F(ModelGolden, TextEncoderEqualsTheReferenceAtEveryClipSkip) {
  const auto stated = checkpoint_->text_heads.find(formats::Component::kTextEncoder);
  const model::TextEncoder text(
      state((*checkpoint_)[formats::Component::kTextEncoder]),
      stated == checkpoint_->text_heads.end() ? std::nullopt : std::optional(stated->second));
  const at::Tensor ids = (*golden_)["clip.input_ids"];
  EXPECT_TRUE(testing::expect_close(text.hidden(ids, 1), (*golden_)["clip.hidden_1"]));
  EXPECT_TRUE(testing::expect_close(text.encode(ids, 1), (*golden_)["clip.last_hidden_normed"]));
  EXPECT_TRUE(testing::expect_close(text.encode(ids, 2), (*golden_)["clip.penultimate_normed"]));
}

TEST_F(ModelGolden, UnetEqualsTheReferenceBlockByBlock) {
  const model::UNet unet(state((*checkpoint_)[formats::Component::kUnet]), checkpoint_->unet_heads);
  int blocks = 0;
  const auto eps =
      unet.forward((*golden_)["unet.a.x"], (*golden_)["unet.a.t"], {(*golden_)["unet.a.context"]},
                   [&](std::string_view name, const at::Tensor& output) {
                     SCOPED_TRACE(name);
                     const std::string key = "unet.a.block." + std::string(name);
                     if (!golden_->has(key)) return;
                     EXPECT_TRUE(testing::expect_close(output, (*golden_)[key], {}, key));
                     ++blocks;
                   });
  EXPECT_GT(blocks, 2);
  EXPECT_TRUE(testing::expect_close(eps, (*golden_)["unet.a.eps"]));
}

// Its products have 8 significant bits, so the result is near the reference, and differs.
TEST_F(ModelGolden, UnetInBfloat16IsNearTheReference) {
  if (!model::ops::multiplies_bfloat16()) GTEST_SKIP() << "no products of bfloat16 here";
  const model::UNet unet(state((*checkpoint_)[formats::Component::kUnet]), checkpoint_->unet_heads);
  unet.policy()->compute = at::kBFloat16;
  for (const std::string run : {"unet.a.", "unet.b."}) {
    const auto eps =
        unet.forward((*golden_)[run + "x"], (*golden_)[run + "t"], {(*golden_)[run + "context"]});
    EXPECT_EQ(eps.scalar_type(), at::kFloat);
    EXPECT_TRUE(testing::expect_close(eps, (*golden_)[run + "eps"], {.rel = 0.02}));
    EXPECT_FALSE(testing::expect_close(eps, (*golden_)[run + "eps"], {.rel = 1e-5}));
  }
}

TEST_F(ModelGolden, UnetTakesLongContextsAndOtherShapes) {
  const model::UNet unet(state((*checkpoint_)[formats::Component::kUnet]), checkpoint_->unet_heads);
  const auto eps =
      unet.forward((*golden_)["unet.b.x"], (*golden_)["unet.b.t"], {(*golden_)["unet.b.context"]});
  EXPECT_TRUE(testing::expect_close(eps, (*golden_)["unet.b.eps"]));
}

TEST_F(ModelGolden, ARememberedPromptIsTheSamePrompt) {
  model::UNet unet(state((*checkpoint_)[formats::Component::kUnet]), checkpoint_->unet_heads);
  const at::Tensor x = (*golden_)["unet.a.x"], t = (*golden_)["unet.a.t"],
                   text = (*golden_)["unet.a.context"];
  model::PromptMemory prompt = unet.remember({text});
  const at::Tensor exact = unet.forward(x, t, {text});
  for (int i = 0; i < 2; ++i) EXPECT_TRUE(unet.forward(x, t, prompt).equal(exact));
  // A layer that changes is asked anew.
  for (auto& [path, layer] : unet.layers())
    if (path.ends_with("attn2.to_v"))
      layer->set_slot({.derived_weight = {.make = [&layer = *layer] { return layer.weight() * 2; },
                                          .sizes = layer->weight().sizes().vec(),
                                          .type = layer->weight().scalar_type()}});
  const at::Tensor changed = unet.forward(x, t, {text});
  EXPECT_FALSE(changed.equal(exact));
  EXPECT_TRUE(unet.forward(x, t, prompt).equal(changed));
}

// A remembered pass is exact where nothing has changed since the whole one, and near where little has.
TEST_F(ModelGolden, StepCacheRemembersTheDeepBlocks) {
  const model::UNet unet(state((*checkpoint_)[formats::Component::kUnet]), checkpoint_->unet_heads);
  const at::Tensor x = (*golden_)["unet.a.x"], t = (*golden_)["unet.a.t"],
                   text = (*golden_)["unet.a.context"];
  const at::Tensor exact = unet.forward(x, t, {text}), moved = x * 1.02,
                   exact_moved = unet.forward(moved, t, {text});
  model::PromptMemory prompt = unet.remember({text});
  model::StepCache cache(2);
  int blocks = 0;
  const auto count = [&](std::string_view, const at::Tensor&) { ++blocks; };
  EXPECT_TRUE(unet.forward(x, t, prompt, count, &cache).equal(exact));
  const int all = blocks;
  EXPECT_TRUE(unet.forward(x, t, prompt, count, &cache).equal(exact));
  EXPECT_EQ(blocks - all, 2);
  EXPECT_TRUE(unet.forward(moved, t, prompt, {}, &cache).equal(exact_moved));  // a whole one again
  model::StepCache late(2);
  unet.forward(x, t, prompt, {}, &late);
  const at::Tensor near = unet.forward(moved, t, prompt, {}, &late);
  EXPECT_FALSE(near.equal(exact_moved));
  EXPECT_TRUE(testing::expect_close(near, exact_moved, {.rel = 0.05}));
}

TEST_F(ModelGolden, VaeDecodesAndEncodesAsTheReference) {
  const model::Vae vae(state((*checkpoint_)[formats::Component::kVae]));
  EXPECT_TRUE(testing::expect_close(vae.decode((*golden_)["vae.z"]), (*golden_)["vae.decoded"]));
  EXPECT_TRUE(testing::expect_close(vae.encode_moments((*golden_)["vae.image"]), (*golden_)["vae.moments"]));
}

}  // namespace
}  // namespace lowrank
