#include "adapter/stack.h"

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <array>
#include <cmath>
#include <cstring>
#include <random>

#include "adapter/tiny_model.h"
#include "base/error.h"
#include "support/expect_close.h"

namespace lowrank::adapter {
namespace {

using formats::Component;
using ::testing::Contains;
using ::testing::HasSubstr;
using testing::random_adapter;
using testing::RandomKind;
using testing::TinyModel;

constexpr StackOptions kBeside{.derived_budget_bytes = 0};
constexpr std::array kKinds = {RandomKind::kLora, RandomKind::kLocon, RandomKind::kLoha, RandomKind::kLokr,
                               RandomKind::kIa3,  RandomKind::kFull,  RandomKind::kDora, RandomKind::kOft};

class Stack : public ::testing::Test {
 protected:
  void apply(AdapterStack& stack, const std::vector<ActiveAdapter>& active) {
    stack.apply(active, testing::parts_of(model_.unet, model_.text_encoder));
  }
  at::NoGradGuard no_grad_;
  TinyModel model_;
};

std::vector<char> bytes_of(const model::LayerMap& layers) {
  std::vector<char> bytes;
  for (const auto& parameter : model::parameters(layers)) {
    const auto* data = static_cast<const char*>(parameter.tensor.data_ptr());
    bytes.insert(bytes.end(), data, data + parameter.tensor.nbytes());
  }
  return bytes;
}

// The model with the sum of changes merged into its weights, by formula and by hand.
at::Tensor merged_weight(const model::Layer& layer, const std::vector<ActiveAdapter>& active) {
  at::Tensor weight = layer.weight().to(at::kFloat).clone();
  for (const bool dependent : {false, true}) {
    for (const ActiveAdapter& a : active) {
      for (const Target& target : a.adapter->targets()) {
        if (target.path != layer.address().path || target.component != layer.address().component) continue;
        if (target.formula.depends_on_base != dependent) continue;
        const double m = target.component == Component::kTextEncoder ? a.te : a.unet;
        weight = weight + m * target.formula.weight(weight, a.dyn);
      }
    }
  }
  return weight;
}

TEST_F(Stack, FiftyRandomChangesLeaveWeightsAndOutputsBitIdentical) {
  const auto unet_bytes = bytes_of(model_.unet.layers()), text_bytes = bytes_of(model_.text_encoder.layers());
  const at::Tensor unet_before = model_.run_unet(), text_before = model_.run_text_encoder();
  std::vector<std::shared_ptr<const Adapter>> adapters;
  for (std::size_t i = 0; i < kKinds.size(); ++i) adapters.push_back(random_adapter(model_, kKinds[i], i));
  std::mt19937 random(11);
  AdapterStack derived, beside(kBeside);
  for (int change = 0; change < 50; ++change) {
    std::vector<ActiveAdapter> active;
    for (auto count = random() % 4; count > 0; --count) {
      active.push_back({.adapter = adapters[random() % adapters.size()],
                        .te = static_cast<double>(random() % 5) / 2 - 1,
                        .unet = static_cast<double>(random() % 5) / 2 - 1});
    }
    apply(random() % 2 == 0 ? derived : beside, active);
    if (change % 10 == 0) {
      model_.run_unet();
      model_.run_text_encoder();
    }
  }
  apply(derived, {});
  EXPECT_EQ(bytes_of(model_.unet.layers()), unet_bytes);
  EXPECT_EQ(bytes_of(model_.text_encoder.layers()), text_bytes);
  EXPECT_TRUE(at::equal(model_.run_unet(), unet_before));
  EXPECT_TRUE(at::equal(model_.run_text_encoder(), text_before));
}

// 1e-4 where products are formed in another order: on some processors they are good for 16 bits
// (Note [split numbers] in kernels/product/block_amx.cc), and a model of many layers adds up to some 3e-5.
TEST_F(Stack, DerivedAndBesideGiveTheSameOutput) {
  for (const RandomKind kind : kKinds) {
    const std::vector<ActiveAdapter> active = {
        {.adapter = random_adapter(model_, kind, 7), .te = 0.8, .unet = 0.7},
        {.adapter = random_adapter(model_, RandomKind::kLora, 8), .te = -0.4, .unet = 1.2},
        {.adapter = random_adapter(model_, RandomKind::kLocon, 9, 2), .dyn = 1}};
    AdapterStack derived, beside(kBeside);
    apply(derived, active);
    EXPECT_EQ(derived.summary().branch_layers, 0);
    const at::Tensor unet = model_.run_unet(), text = model_.run_text_encoder();
    apply(beside, active);
    EXPECT_GT(beside.summary().branch_layers, 0);
    const std::string name = fmt::format("kind {}", static_cast<int>(kind));
    EXPECT_TRUE(lowrank::testing::expect_close(model_.run_unet(), unet, {.rel = 1e-4}, name));
    EXPECT_TRUE(lowrank::testing::expect_close(model_.run_text_encoder(), text, {.rel = 1e-4}, name));
  }
}

TEST_F(Stack, SetsAreMergedAsTheFormulasSay) {
  for (const RandomKind kind : kKinds) {
    const std::vector<ActiveAdapter> active = {
        {.adapter = random_adapter(model_, kind, 7), .te = 0.8, .unet = 0.7},
        {.adapter = random_adapter(model_, RandomKind::kFull, 8), .te = 0.3, .unet = -0.5}};
    AdapterStack stack;
    apply(stack, active);
    const at::Tensor ours = model_.run_unet();
    tensor::StateDict state = testing::busy_state(Component::kUnet, 1);
    for (const auto& [path, layer] : model_.unet.layers()) {
      state[path + ".weight"] = merged_weight(*layer, active);
      if (layer->slot().derived_bias.defined()) state[path + ".bias"] = layer->slot().derived_bias;
    }
    const model::UNet merged(state);
    EXPECT_TRUE(
        lowrank::testing::expect_close(ours, merged.forward(model_.x, model_.timesteps, {model_.context}),
                                       {.rel = 1e-4}, fmt::format("kind {}", static_cast<int>(kind))));
    stack.clear();
  }
}

TEST_F(Stack, TheSameLoraTwiceActsTwice) {
  const auto lora = random_adapter(model_, RandomKind::kLora, 3);
  AdapterStack stack;
  apply(stack, {{.adapter = lora, .te = 0.5, .unet = 0.5}, {.adapter = lora, .te = 0.3, .unet = 0.3}});
  const at::Tensor twice = model_.run_unet();
  apply(stack, {{.adapter = lora, .te = 0.8, .unet = 0.8}});
  EXPECT_TRUE(lowrank::testing::expect_close(twice, model_.run_unet(), {.rel = 1e-4}));
}

TEST_F(Stack, AdditiveKindsComeBeforeWeightDependentOnesWhateverTheOrder) {
  const auto lora = random_adapter(model_, RandomKind::kLora, 3),
             dora = random_adapter(model_, RandomKind::kDora, 4),
             ia3 = random_adapter(model_, RandomKind::kIa3, 5);
  AdapterStack stack;
  apply(stack, {{.adapter = dora}, {.adapter = lora}});
  const at::Tensor dora_first = model_.run_unet();
  apply(stack, {{.adapter = lora}, {.adapter = dora}});
  EXPECT_TRUE(at::equal(dora_first, model_.run_unet()));
  EXPECT_THAT(stack.reports()[1].notes, Not(Contains(HasSubstr("order-dependent"))));

  apply(stack, {{.adapter = dora}, {.adapter = ia3}});
  const at::Tensor one = model_.run_unet();
  for (const auto& report : stack.reports())
    EXPECT_THAT(report.notes, Contains(HasSubstr("order-dependent")));
  apply(stack, {{.adapter = ia3}, {.adapter = dora}});
  EXPECT_FALSE(at::allclose(one, model_.run_unet(), 1e-4, 1e-4));
}

TEST_F(Stack, WeightsReachOnlyTheirComponent) {
  const auto lora = random_adapter(model_, RandomKind::kLora, 3);
  const at::Tensor unet = model_.run_unet(), text = model_.run_text_encoder();
  AdapterStack stack;
  apply(stack, {{.adapter = lora, .te = 0, .unet = 1}});
  EXPECT_FALSE(at::equal(model_.run_unet(), unet));
  EXPECT_TRUE(at::equal(model_.run_text_encoder(), text));
  apply(stack, {{.adapter = lora, .te = 1, .unet = 0}});
  EXPECT_TRUE(at::equal(model_.run_unet(), unet));
  EXPECT_FALSE(at::equal(model_.run_text_encoder(), text));
  apply(stack, {{.adapter = lora, .te = 0, .unet = 0}});
  EXPECT_TRUE(at::equal(model_.run_text_encoder(), text));
  EXPECT_THAT(stack.reports()[0].notes, Contains(HasSubstr("weight is 0")));
}

TEST_F(Stack, StepFactorsSwitchTheUnetOnly) {
  const auto lora = random_adapter(model_, RandomKind::kLora, 3),
             other = random_adapter(model_, RandomKind::kLoha, 4);
  const at::Tensor base = model_.run_unet();
  for (const StackOptions& options : {StackOptions{}, kBeside}) {
    AdapterStack stack(options);
    apply(stack, {{.adapter = lora}});
    const at::Tensor on = model_.run_unet(), text_on = model_.run_text_encoder();
    apply(stack, {{.adapter = lora,
                   .unet_factor = [](int step, int steps) { return step * 2 > steps ? 1.0 : 0.0; }}});
    stack.set_step(1, 10);
    EXPECT_TRUE(at::equal(model_.run_unet(), base));
    EXPECT_TRUE(at::equal(model_.run_text_encoder(), text_on));
    stack.set_step(6, 10);
    EXPECT_TRUE(at::equal(model_.run_unet(), on));
    stack.set_step(2, 10);
    EXPECT_TRUE(at::equal(model_.run_unet(), base));
    // A constant neighbour stays.
    apply(stack, {{.adapter = other}});
    const at::Tensor other_on = model_.run_unet();
    apply(stack, {{.adapter = lora, .unet_factor = [](int, int) { return 0.0; }}, {.adapter = other}});
    stack.set_step(1, 10);
    EXPECT_TRUE(at::equal(model_.run_unet(), other_on));
    stack.clear();
    EXPECT_TRUE(at::equal(model_.run_unet(), base));
  }
}

TEST_F(Stack, BlockWeightsScaleTheBlocksTheyName) {
  const auto lora = random_adapter(model_, RandomKind::kFull, 3);
  std::vector<std::string> warnings;
  AdapterStack stack;
  apply(stack,
        {{.adapter = lora,
          .blocks = BlockWeights::parse({.weights = "0.5,0,1,1,1,1,1,2,1,1,1,1,1,1,1,1,1"}, warnings)}});
  EXPECT_TRUE(warnings.empty());
  const auto change = [&](const model::LayerMap& layers, const std::string& path) {
    const auto& layer = *layers.at(path);
    const auto& derived = layer.slot().derived_weight;
    return derived.defined() ? derived.make() - layer.weight() : at::zeros_like(layer.weight());
  };
  for (const Target& target : lora->targets()) {
    const bool is_text = target.component == Component::kTextEncoder;
    const double factor = is_text                                      ? 0.5
                          : target.path.starts_with("input_blocks.1.") ? 0
                          : target.path.starts_with("middle_block.")   ? 2
                                                                       : -1;
    if (factor < 0) continue;
    const at::Tensor actual =
        change(is_text ? model_.text_encoder.layers() : model_.unet.layers(), target.path);
    EXPECT_TRUE(at::allclose(actual, target.formula.weight({}, {}) * factor, 1e-4, 1e-6)) << target.path;
  }
}

TEST_F(Stack, LayersWithoutABiasGetOne) {
  const std::string path = "input_blocks.1.1.transformer_blocks.0.attn1.to_q";
  ASSERT_FALSE(model_.unet.layers().at(path)->bias().defined());
  const auto adapter = random_adapter(model_, RandomKind::kFull, 3);
  AdapterStack stack;
  apply(stack, {{.adapter = adapter, .unet = 0.25}});
  for (const Target& target : adapter->targets()) {
    if (target.path == path) {
      EXPECT_TRUE(
          at::allclose(model_.unet.layers().at(path)->slot().derived_bias, target.formula.bias * 0.25));
    }
  }
}

TEST_F(Stack, NormsEmbeddingsAndPositionsCanBeChanged) {
  const at::Tensor text = model_.run_text_encoder(), unet = model_.run_unet();
  const auto state_of = [&](const std::string& module, const std::string& path, Component component) {
    return tensor::StateDict{
        {module + ".diff", at::ones_like(model_.layers(component).at(path)->weight()) * 0.1}};
  };
  const auto changes = [&](const tensor::StateDict& state) {
    AdapterStack stack;
    apply(stack, {{.adapter = Adapter::match(testing::write_and_open("one", state),
                                             testing::parts_of(model_.unet, model_.text_encoder))}});
    const bool differs = !at::equal(model_.run_text_encoder(), text) || !at::equal(model_.run_unet(), unet);
    stack.clear();
    return differs;
  };
  EXPECT_TRUE(changes(state_of("lora_te_text_model_embeddings_token_embedding", "embeddings.token_embedding",
                               Component::kTextEncoder)));
  EXPECT_TRUE(changes({{"lora_te_text_model_embeddings_position_embedding.diff", at::rand({77, 64})}}));
  EXPECT_TRUE(changes({{"lora_te_text_model_encoder_layers_0_layer_norm1.w_norm", at::rand({64})},
                       {"lora_te_text_model_encoder_layers_0_layer_norm1.b_norm", at::rand({64})}}));
  EXPECT_TRUE(changes(
      state_of("lora_unet_down_blocks_0_resnets_0_norm1", "input_blocks.1.0.in_layers.0", Component::kUnet)));
}

TEST_F(Stack, ReportMeasuresTheChangeAgainstTheWeights) {
  const auto lora = random_adapter(model_, RandomKind::kLora, 3),
             dora = random_adapter(model_, RandomKind::kDora, 4);
  AdapterStack stack;
  apply(stack, {{.adapter = lora, .te = 0.5, .unet = -2, .dyn = 2}, {.adapter = dora}});
  const auto reports = stack.reports();
  for (std::size_t i = 0; i < 2; ++i) {
    double change = 0, base = 0, middle_change = 0, middle_base = 0;
    for (const Target& target : (i == 0 ? lora : dora)->targets()) {
      const bool is_text = target.component == Component::kTextEncoder;
      const double m = i == 1 ? 1 : is_text ? 0.5 : -2;
      const at::Tensor w =
          (is_text ? model_.text_encoder.layers() : model_.unet.layers()).at(target.path)->weight();
      const at::Tensor delta = target.formula.weight(w, i == 0 ? Dyn{2} : Dyn{});
      const double c = std::pow(m * delta.norm().item<double>(), 2), b = std::pow(w.norm().item<double>(), 2);
      change += c;
      base += b;
      if (target.path.starts_with("middle_block.")) middle_change += c, middle_base += b;
    }
    EXPECT_NEAR(reports[i].relative, std::sqrt(change / base), 1e-4 * std::sqrt(change / base));
    for (const auto& block : reports[i].blocks) {
      if (block.block == "M00") {
        EXPECT_NEAR(block.relative, std::sqrt(middle_change / middle_base), 1e-4 * block.relative);
      }
    }
  }
  EXPECT_EQ(reports[0].unet.applied + reports[0].text_encoder.applied,
            static_cast<std::int64_t>(lora->targets().size()));
  EXPECT_THAT(text(reports[0]), HasSubstr("LoRA for"));
  EXPECT_THAT(text(reports[0]), HasSubstr("the first 2 rank components"));
}

// Whoever maps the weights can let each go again: all of a checkpoint need not lie in memory at once.
TEST_F(Stack, MeasuringTellsAfterEachWeightThatItRead) {
  const auto lora = random_adapter(model_, RandomKind::kLora, 3);
  AdapterStack stack;
  apply(stack, {{.adapter = lora}});
  std::size_t read = 0;
  const auto count = [&] { ++read; };
  stack.reports(Measure::kNo, count);
  EXPECT_EQ(read, 0u);
  stack.reports(Measure::kYes, count);
  EXPECT_EQ(read, lora->targets().size());
  stack.reports(Measure::kYes, count);  // known by now
  EXPECT_EQ(read, lora->targets().size());
  apply(stack, {{.adapter = random_adapter(model_, RandomKind::kDora, 4)}});
  stack.reports(Measure::kYes, count);
  EXPECT_GT(read, lora->targets().size());
}

TEST_F(Stack, ValuesThatAreNotFiniteAreNoted) {
  tensor::StateDict state = testing::random_lora(model_, RandomKind::kLora, 3);
  state.begin()->second.fill_(2);
  for (auto& [key, tensor] : state)
    if (key == "lora_unet_mid_block_attentions_0_proj_in.lora_up.weight") tensor[0][0] = std::nan("");
  AdapterStack stack;
  apply(stack, {{.adapter = Adapter::match(testing::write_and_open("nan", state),
                                           testing::parts_of(model_.unet, model_.text_encoder))}});
  EXPECT_THAT(stack.reports()[0].notes, Contains(HasSubstr("NaN or infinite values")));
}

TEST_F(Stack, DerivedWeightsThatWereForgottenAreMadeAgain) {
  const at::Tensor base = model_.run_unet();
  AdapterStack stack;
  apply(stack, {{.adapter = random_adapter(model_, RandomKind::kLora, 3)}});
  ASSERT_GT(stack.summary().derived_layers, 0);
  const at::Tensor on = model_.run_unet();
  EXPECT_FALSE(at::equal(on, base));
  for (const auto& [path, layer] : model_.unet.layers()) layer->forget_derived();
  EXPECT_TRUE(at::equal(model_.run_unet(), on));
  stack.clear();
  EXPECT_TRUE(at::equal(model_.run_unet(), base));
}

TEST_F(Stack, BigModelKeepsDerivedWeightsInItsOwnType) {
  TinyModel half(at::kHalf);
  AdapterStack stack(kBeside);
  const ActiveAdapter active{.adapter = random_adapter(half, RandomKind::kLoha, 3)};
  stack.apply({&active, 1}, testing::parts_of(half.unet, half.text_encoder));
  EXPECT_EQ(stack.summary().branch_layers, 0);
  std::int64_t bytes = 0;
  for (const auto* layers : {&half.unet.layers(), &half.text_encoder.layers()}) {
    for (const auto& [path, layer] : *layers) {
      if (!layer->slot().derived_weight.defined()) continue;
      EXPECT_EQ(layer->slot().derived_weight.type, at::kHalf);
      EXPECT_EQ(layer->slot().derived_weight.make().scalar_type(), at::kHalf);
      bytes += static_cast<std::int64_t>(layer->weight().nbytes());
    }
  }
  EXPECT_EQ(stack.summary().derived_bytes, bytes);
}

TEST_F(Stack, PatchesOfOthersStayInTheSlots) {
  TrainableLora trained(testing::sd1(), testing::trained(&model_.unet, &model_.text_encoder),
                        {.rank = 2, .seed = 5});
  for (const auto& parameter : trained.parameters()) at::Tensor(parameter.tensor).add_(0.1);
  const at::Tensor with_training = model_.run_unet();
  for (const StackOptions& options : {StackOptions{}, kBeside}) {
    AdapterStack stack(options);
    apply(stack, {{.adapter = random_adapter(model_, RandomKind::kLora, 3)}});
    EXPECT_FALSE(at::equal(model_.run_unet(), with_training));
    stack.clear();
    EXPECT_TRUE(at::equal(model_.run_unet(), with_training));
  }
}

TEST_F(Stack, AdapterOfAnotherModelIsRefused) {
  tensor::StateDict smaller = testing::busy_state(Component::kTextEncoder, 2);
  std::erase_if(smaller, [](const auto& item) { return item.first.starts_with("encoder.layers.1."); });
  model::TextEncoder text_encoder(smaller);
  AdapterStack stack;
  const auto lora = random_adapter(model_, RandomKind::kLora, 3);
  apply(stack, {{.adapter = lora}});
  const at::Tensor before = model_.run_unet();
  const ActiveAdapter active{.adapter = lora, .unet = 2};
  EXPECT_THROW(stack.apply({&active, 1}, testing::parts_of(model_.unet, text_encoder)), Error);
  EXPECT_TRUE(at::equal(model_.run_unet(), before)) << "a refused set must leave the old one on";
}

}  // namespace
}  // namespace lowrank::adapter
