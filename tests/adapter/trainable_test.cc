#include "adapter/trainable.h"

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "adapter/stack.h"
#include "adapter/tiny_model.h"
#include "base/error.h"
#include "support/expect_close.h"

namespace lowrank::adapter {
namespace {

using formats::Component;
using testing::TinyModel;

// All parameters of a model of these dimensions without the memory: one zero, repeated.
tensor::StateDict hollow_state(const model::ModelSpec& spec, Component component) {
  tensor::StateDict state;
  for (const auto& parameter : model::parameter_specs(spec))
    if (parameter.component == component)
      state.emplace(parameter.name, at::zeros({}).expand(parameter.shape));
  return state;
}

TEST(LoraTargets, AreKohyasForStableDiffusion1) {
  const auto spec = model::model_spec("sd15");
  const model::UNet unet(hollow_state(spec, Component::kUnet));
  const model::TextEncoder text(hollow_state(spec, Component::kTextEncoder));
  const auto count = [](const model::LayerMap& layers, Convolutions convolutions) {
    return std::count_if(layers.begin(), layers.end(),
                         [&](const auto& item) { return is_lora_target(*item.second, convolutions); });
  };
  EXPECT_EQ(count(unet.layers(), Convolutions::kNo), 192);
  EXPECT_EQ(count(text.layers(), Convolutions::kNo), 72);
  // 22 residual blocks with two convolutions and a time projection, 14 shortcuts, 3 samplers each way.
  EXPECT_EQ(count(unet.layers(), Convolutions::kYes), 192 + 22 * 3 + 14 + 6);
  EXPECT_EQ(count(text.layers(), Convolutions::kYes), 72);
  const auto names = kohya_names(testing::sd1(), Component::kUnet, unet.layers());
  EXPECT_EQ(names.at("input_blocks.5.1.transformer_blocks.0.attn2.to_k"),
            "lora_unet_down_blocks_1_attentions_1_transformer_blocks_0_attn2_to_k");
  EXPECT_EQ(names.at("input_blocks.9.0.op"), "lora_unet_down_blocks_2_downsamplers_0_conv");
  EXPECT_EQ(names.at("output_blocks.2.1.conv"), "lora_unet_up_blocks_0_upsamplers_0_conv");
  EXPECT_EQ(kohya_names(testing::sd1(), Component::kTextEncoder, text.layers())
                .at("encoder.layers.11.self_attn.out_proj"),
            "lora_te_text_model_encoder_layers_11_self_attn_out_proj");
}

TEST(TrainableLora, StartsWithoutEffectAndIsReproducible) {
  TinyModel model;
  const at::NoGradGuard no_grad;
  const at::Tensor before = model.run_unet();
  TrainableLora one(testing::sd1(), testing::trained(&model.unet, &model.text_encoder),
                    {.rank = 4, .conv_rank = 2, .seed = 9});
  // The pairs add nothing, but what follows a layer is then rounded on its own.
  EXPECT_TRUE(lowrank::testing::expect_close(model.run_unet(), before, {.rel = 1e-5}));
  TinyModel twin;
  const TrainableLora two(testing::sd1(), testing::trained(&twin.unet, &twin.text_encoder),
                          {.rank = 4, .conv_rank = 2, .seed = 9});
  const TrainableLora other(testing::sd1(), testing::trained(&twin.unet, &twin.text_encoder),
                            {.rank = 4, .conv_rank = 2, .seed = 10});
  ASSERT_EQ(one.parameters().size(), two.parameters().size());
  for (std::size_t i = 0; i < one.parameters().size(); ++i) {
    const auto& parameter = one.parameters()[i];
    EXPECT_EQ(parameter.name, two.parameters()[i].name);
    EXPECT_TRUE(at::equal(parameter.tensor, two.parameters()[i].tensor)) << parameter.name;
    EXPECT_TRUE(parameter.tensor.is_leaf() && parameter.tensor.requires_grad());
    if (parameter.name.ends_with("lora_up.weight")) {
      EXPECT_EQ(parameter.tensor.abs().max().item<float>(), 0);
    } else {
      const double bound =
          1 / std::sqrt(static_cast<double>(parameter.tensor.numel() / parameter.tensor.size(0)));
      EXPECT_LE(parameter.tensor.abs().max().item<double>(), bound * (1 + 1e-6));
      EXPECT_GE(parameter.tensor.abs().max().item<double>(), bound * 0.8);
      EXPECT_FALSE(at::equal(parameter.tensor, other.parameters()[i].tensor));
    }
  }
}

TEST(TrainableLora, GradientsAgreeWithDifferences) {
  TinyModel model;
  TrainableLora lora(testing::sd1(), testing::trained(&model.unet, &model.text_encoder),
                     {.rank = 2, .alpha = 2, .conv_rank = 2, .conv_alpha = 2, .seed = 1});
  {
    const at::NoGradGuard no_grad;
    auto generator = at::make_generator<at::CPUGeneratorImpl>(4);
    for (const auto& parameter : lora.parameters()) at::Tensor(parameter.tensor).normal_(0, 0.05, generator);
  }
  const at::Tensor probe = at::randn_like(model.x);
  const auto loss = [&] {
    const at::Tensor context = model.text_encoder.encode(model.ids).expand({2, 77, -1});
    return (model.unet.forward(model.x, model.timesteps, {context}) * probe).sum();
  };
  loss().backward();
  for (const auto& parameter : lora.parameters()) {
    const at::Tensor gradient = parameter.tensor.grad();
    ASSERT_TRUE(gradient.defined()) << parameter.name;
    const at::NoGradGuard no_grad;
    // Along its own direction the difference is |gradient|; float32 leaves some 1e-2 of it.
    const double length = gradient.norm().item<double>();
    if (length < 1e-2) continue;
    const at::Tensor direction = gradient / length;
    at::Tensor target = parameter.tensor;
    const double step = 2e-2;
    target.add_(direction, step);
    const double above = loss().item<double>();
    target.add_(direction, -2 * step);
    const double below = loss().item<double>();
    target.add_(direction, step);
    EXPECT_NEAR((above - below) / (2 * step), length, 0.03 * length + 1e-2) << parameter.name;
  }
  for (const auto& [path, layer] : model.unet.layers()) EXPECT_FALSE(layer->weight().grad().defined());
}

TEST(TrainableLora, SavedFileActsAsTheTrainedPairsDid) {
  TinyModel model;
  const at::NoGradGuard no_grad;
  const at::Tensor base = model.run_unet();
  tensor::StateDict state;
  at::Tensor trained, trained_text;
  {
    TrainableLora lora(testing::sd1(), testing::trained(&model.unet, &model.text_encoder),
                       {.rank = 3, .alpha = 1.5, .conv_rank = 2, .conv_alpha = 1, .seed = 1});
    for (const auto& parameter : lora.parameters())
      at::Tensor(parameter.tensor).add_(at::randn_like(parameter.tensor) * 0.1);
    state = lora.state();
    EXPECT_EQ(state.size(), lora.modules() * 3);
    trained = model.run_unet();
    trained_text = model.run_text_encoder();
    EXPECT_FALSE(at::allclose(trained, base, 1e-3, 1e-3));
    lora.set_weight(0);
    EXPECT_TRUE(lowrank::testing::expect_close(model.run_unet(), base, {.rel = 1e-5}));
    lora.set_weight(1);
    EXPECT_TRUE(at::equal(model.run_unet(), trained));
  }
  EXPECT_TRUE(at::equal(model.run_unet(), base)) << "the pairs must leave the slots";
  const auto adapter = Adapter::match(testing::write_and_open("trained", state),
                                      testing::parts_of(model.unet, model.text_encoder));
  EXPECT_TRUE(adapter->skipped().empty());
  const ActiveAdapter active{.adapter = adapter};
  AdapterStack stack;
  stack.apply({&active, 1}, testing::parts_of(model.unet, model.text_encoder));
  EXPECT_TRUE(lowrank::testing::expect_close(model.run_unet(), trained, {.rel = 1e-4}));
  EXPECT_TRUE(lowrank::testing::expect_close(model.run_text_encoder(), trained_text, {.rel = 1e-4}));
  stack.clear();

  TrainableLora resumed(testing::sd1(), testing::trained(&model.unet, &model.text_encoder),
                        {.rank = 3, .alpha = 1.5, .conv_rank = 2, .conv_alpha = 1, .seed = 2});
  resumed.load(state);
  EXPECT_TRUE(at::equal(model.run_unet(), trained));
}

TEST(TrainableLora, BadOptionsAndForeignStatesAreErrors) {
  TinyModel model;
  EXPECT_THROW(TrainableLora(testing::sd1(), testing::trained(&model.unet, nullptr), {.rank = 0}), Error);
  EXPECT_THROW(TrainableLora(testing::sd1(), testing::trained(&model.unet, nullptr), {.rank = 1, .alpha = 0}),
               Error);
  EXPECT_THROW(TrainableLora(testing::sd1(), testing::trained(nullptr, nullptr), {}), Error);
  TrainableLora lora(testing::sd1(), testing::trained(&model.unet, nullptr), {.rank = 2});
  auto state = lora.state();
  state.begin()->second = at::scalar_tensor(1.0);
  state.erase(std::next(state.begin()));
  EXPECT_THROW(lora.load(state), Error);
  TinyModel twin;
  EXPECT_THROW(
      lora.load(TrainableLora(testing::sd1(), testing::trained(&twin.unet, nullptr), {.rank = 3}).state()),
      Error);
}

TEST(TrainableLora, TrainsInMixedPrecision) {
  TinyModel model;
  model.unet.policy()->compute = at::kBFloat16;
  TrainableLora lora(testing::sd1(), testing::trained(&model.unet, nullptr),
                     {.rank = 2, .conv_rank = 2, .seed = 1});
  model.run_unet().square().mean().backward();
  double total = 0;
  for (const auto& parameter : lora.parameters()) {
    if (!parameter.name.ends_with("lora_up.weight")) continue;
    ASSERT_TRUE(parameter.tensor.grad().defined()) << parameter.name;
    EXPECT_EQ(parameter.tensor.grad().scalar_type(), at::kFloat);
    total += parameter.tensor.grad().abs().sum().item<double>();
  }
  EXPECT_GT(total, 0);
}

}  // namespace
}  // namespace lowrank::adapter
