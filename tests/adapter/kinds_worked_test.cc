// The worked values that the format's description gives for each kind, computed by hand.
#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include "adapter/modules.h"
#include "support/expect_close.h"

namespace lowrank::adapter {
namespace {

using formats::AdapterKind;
using testing::formula_of;
using testing::layer_shape;
using testing::make_module;
using testing::misfit_of;
using testing::Parts;
using testing::values;

const at::Tensor kBase = testing::values({1, 2, 3, 4}, {2, 2});
constexpr double kExact = 5e-6;  // the worked values are given to six digits

at::Tensor delta(const Module& module, const at::Tensor& base, Dyn dyn = {}) {
  return formula_of(module, layer_shape(base.sizes().vec())).weight(base, dyn);
}

#define EXPECT_CLOSE(ours, golden) EXPECT_TRUE(lowrank::testing::expect_close(ours, golden, {.rel = kExact}))

Module worked_lora(Parts more = {}) {
  Parts parts = {{"lora_down.weight", values({1, 0, 2, 1}, {2, 2})},
                 {"lora_up.weight", values({1, -1, 0.5, 2}, {2, 2})}};
  parts.insert(parts.end(), more.begin(), more.end());
  return make_module(AdapterKind::kLora, parts, 1.0f);
}

TEST(WorkedKinds, Lora) {
  EXPECT_CLOSE(delta(worked_lora(), kBase), values({-0.5, -0.5, 2.25, 1}, {2, 2}));
}

TEST(WorkedKinds, LoraWithDynKeepsTheScaleOfTheFullRank) {
  EXPECT_CLOSE(delta(worked_lora(), kBase, 1), values({0.5, 0, 0.25, 0}, {2, 2}));
  EXPECT_CLOSE(delta(worked_lora(), kBase, 9), delta(worked_lora(), kBase));
  EXPECT_EQ(delta(worked_lora(), kBase, 0).abs().max().item<float>(), 0);
}

TEST(WorkedKinds, LoconTucker) {
  const auto module = make_module(AdapterKind::kLocon, {{"lora_up.weight", values({1, 2}, {2, 1, 1, 1})},
                                                        {"lora_down.weight", values({3, 4}, {1, 2, 1, 1})},
                                                        {"lora_mid.weight", values({5, 6}, {1, 1, 1, 2})}});
  EXPECT_CLOSE(delta(module, at::zeros({2, 2, 1, 2})),
               values({15, 18, 20, 24, 30, 36, 40, 48}, {2, 2, 1, 2}));
}

TEST(WorkedKinds, Loha) {
  const auto module = make_module(AdapterKind::kLoha, {{"hada_w1_a", values({1, 2}, {2, 1})},
                                                       {"hada_w1_b", values({3, 4}, {1, 2})},
                                                       {"hada_w2_a", values({0.5, -1}, {2, 1})},
                                                       {"hada_w2_b", values({2, 1}, {1, 2})}});
  EXPECT_CLOSE(delta(module, kBase), values({3, 2, -12, -8}, {2, 2}));
}

TEST(WorkedKinds, LokrWithFullFactorsIgnoresAlpha) {
  const auto module =
      make_module(AdapterKind::kLokr,
                  {{"lokr_w1", values({1, 2}, {1, 2})}, {"lokr_w2", values({3, 4, 5, 6}, {2, 2})}}, 1e10f);
  EXPECT_CLOSE(delta(module, at::zeros({2, 4})), values({3, 4, 6, 8, 5, 6, 10, 12}, {2, 4}));
}

TEST(WorkedKinds, LokrOfAConvolution) {
  const auto module = make_module(AdapterKind::kLokr, {{"lokr_w1", values({1, 2}, {1, 2})},
                                                       {"lokr_w2_a", values({1}, {1, 1})},
                                                       {"lokr_w2_b", values({3, 4}, {1, 2})}});
  EXPECT_CLOSE(delta(module, at::zeros({1, 2, 1, 2})), values({3, 4, 6, 8}, {1, 2, 1, 2}));
}

TEST(WorkedKinds, Ia3) {
  const auto ia3 = [](bool on_input) {
    return make_module(AdapterKind::kIa3, {{"weight", values({0.5, -1}, {2})},
                                           {"on_input", at::scalar_tensor(on_input, at::kBool)}});
  };
  EXPECT_CLOSE(delta(ia3(false), kBase), values({0.5, 1, -3, -4}, {2, 2}));
  EXPECT_CLOSE(delta(ia3(true), kBase), values({0.5, -2, 1.5, -4}, {2, 2}));
}

TEST(WorkedKinds, GloraOfTheCurrentLayout) {
  const auto module = make_module(AdapterKind::kGlora, {{"a1.weight", values({1, 2}, {2, 1})},
                                                        {"a2.weight", values({3, 4}, {1, 2})},
                                                        {"b1.weight", values({1, 0}, {2, 1})},
                                                        {"b2.weight", values({0, 1}, {1, 2})}});
  EXPECT_CLOSE(delta(module, kBase), values({15, 21, 33, 44}, {2, 2}));
}

TEST(WorkedKinds, GloraOfTheOldLayoutIsTheSameWithNamesExchanged) {
  const auto module = make_module(AdapterKind::kGlora, {{"a2.weight", values({1, 2}, {2, 1})},
                                                        {"a1.weight", values({3, 4}, {1, 2})},
                                                        {"b2.weight", values({1, 0}, {2, 1})},
                                                        {"b1.weight", values({0, 1}, {1, 2})}});
  EXPECT_CLOSE(delta(module, kBase), values({15, 21, 33, 44}, {2, 2}));
}

TEST(WorkedKinds, Oft) {
  const Parts parts = {{"oft_blocks", values({0, 0.5, 0, 0}, {1, 2, 2})}};
  EXPECT_CLOSE(kBase + delta(make_module(AdapterKind::kOft, parts), kBase),
               values({-1.8, -2, 2.6, 4}, {2, 2}));
  EXPECT_CLOSE(kBase + delta(make_module(AdapterKind::kOft, parts, 0.0f), kBase),
               values({-1.8, -2, 2.6, 4}, {2, 2}));
}

TEST(WorkedKinds, OftDiagonalHoldsTheRotationItself) {
  const auto module =
      make_module(AdapterKind::kOft, {{"oft_diag", values({0.6, 0.8, -0.8, 0.6}, {1, 2, 2})}});
  EXPECT_CLOSE(kBase + delta(module, kBase), values({-1.8, -2, 2.6, 4}, {2, 2}));
}

TEST(WorkedKinds, OftWithALimitedNorm) {
  const auto module =
      make_module(AdapterKind::kOft, {{"oft_blocks", values({0, 0.5, 0, 0}, {1, 2, 2})}}, 0.25f);
  EXPECT_CLOSE(kBase + delta(module, kBase), values({-1.10784, -0.958602, 2.96187, 4.36819}, {2, 2}));
}

TEST(WorkedKinds, OftRescaleMultipliesTheTurnedRows) {
  const auto module = make_module(AdapterKind::kOft, {{"oft_blocks", values({0, 0.5, 0, 0}, {1, 2, 2})},
                                                      {"rescale", values({2, -1}, {2, 1})}});
  EXPECT_CLOSE(kBase + delta(module, kBase), values({-3.6, -4, -2.6, -4}, {2, 2}));
}

TEST(WorkedKinds, BoftTurnsRowsStageByStage) {
  const at::Tensor base = values({1, 2, 3, 4}, {4, 1});
  const auto block = [](double q) { return values({0, q, 0, 0}, {1, 2, 2}); };
  const auto stage = [&](double first, double second) {
    return at::cat({block(first), block(second)}).unsqueeze(0);
  };
  const auto one = make_module(AdapterKind::kBoft, {{"oft_blocks", stage(0.5, 0)}});
  EXPECT_CLOSE(base + delta(one, base), values({2.2, 0.4, 3, 4}, {4, 1}));
  const auto two =
      make_module(AdapterKind::kBoft, {{"oft_blocks", at::cat({stage(0.5, 0), stage(0.25, 0.5)})}});
  EXPECT_CLOSE(base + delta(two, base), values({3.35294, 3.44, 1.61176, 2.08}, {4, 1}));
}

TEST(WorkedKinds, DoraOfOutputRows) {
  const auto module = worked_lora({{"dora_scale", values({2, 3}, {2, 1})}});
  EXPECT_CLOSE(kBase + delta(module, kBase), values({0.632456, 1.89737, 2.17241, 2.06897}, {2, 2}));
  EXPECT_CLOSE(kBase + 0.5 * delta(module, kBase), values({0.816228, 1.94868, 2.58621, 3.03448}, {2, 2}));
  // A vector, as PEFT writes it, is per output row.
  const auto vector = worked_lora({{"dora_scale", values({2, 3}, {2})}});
  EXPECT_CLOSE(delta(vector, kBase), delta(module, kBase));
}

TEST(WorkedKinds, DoraOfInputColumns) {
  const auto module = worked_lora({{"dora_scale", values({2, 3}, {1, 2})}});
  EXPECT_CLOSE(kBase + delta(module, kBase), values({0.189618, 0.862044, 1.99099, 2.87348}, {2, 2}));
}

TEST(WorkedKinds, ScaleTensorAndScalarReplaceAndMultiplyAlpha) {
  const at::Tensor product = values({-1, -1, 4.5, 2}, {2, 2});  // up·down
  EXPECT_CLOSE(delta(worked_lora({{"scale", at::scalar_tensor(3.0, at::kFloat)}}), kBase), product * 3);
  EXPECT_CLOSE(delta(worked_lora({{"scalar", at::scalar_tensor(4.0, at::kHalf)}}), kBase), product * 2);
}

TEST(WorkedKinds, DenseBiasIsAddedBeforeTheScale) {
  const auto module = worked_lora({{"bias", values({1, 2, 3, 4}, {2, 2})}});
  EXPECT_CLOSE(delta(module, kBase), values({0, 0.5, 3.75, 3}, {2, 2}));
  EXPECT_FALSE(formula_of(module, layer_shape({2, 2})).factors.has_value());
}

TEST(WorkedKinds, LoraBiasIsScaled) {
  const auto module = worked_lora({{"lora_up.bias", values({4, -2}, {2})}});
  EXPECT_CLOSE(formula_of(module, layer_shape({2, 2})).bias, values({2, -1}, {2}));
}

TEST(WorkedKinds, FullAndNormAreTheirTensors) {
  const auto full =
      formula_of(make_module(AdapterKind::kFull, {{"diff", kBase}, {"diff_b", values({5, 6}, {2})}}, 7.0f),
                 layer_shape({2, 2}));
  EXPECT_CLOSE(full.weight({}, {}), kBase);
  EXPECT_CLOSE(full.bias, values({5, 6}, {2}));
  const auto norm = formula_of(make_module(AdapterKind::kNorm, {{"w_norm", values({1, 2, 3}, {3})},
                                                                {"b_norm", values({4, 5, 6}, {3})}}),
                               layer_shape({3}));
  EXPECT_CLOSE(norm.weight({}, {}), values({1, 2, 3}, {3}));
  EXPECT_CLOSE(norm.bias, values({4, 5, 6}, {3}));
}

TEST(WorkedKinds, AlphaZeroHasNoEffectAndSaysSo) {
  Module module = worked_lora();
  module.alpha = 0.0f;
  const Formula formula = formula_of(module, layer_shape({2, 2}));
  EXPECT_EQ(formula.weight({}, {}).abs().max().item<float>(), 0);
  ASSERT_EQ(formula.notes.size(), 1u);
  EXPECT_NE(formula.notes[0].find("alpha is 0"), std::string::npos);
}

TEST(WorkedKinds, LinearAndOneByOneShapesAreInterchangeable) {
  const at::Tensor expected = values({-0.5, -0.5, 2.25, 1}, {2, 2});
  EXPECT_CLOSE(delta(worked_lora(), at::zeros({2, 2, 1, 1})), expected.reshape({2, 2, 1, 1}));
  const auto convolution = make_module(AdapterKind::kLora,
                                       {{"lora_down.weight", values({1, 0, 2, 1}, {2, 2, 1, 1})},
                                        {"lora_up.weight", values({1, -1, 0.5, 2}, {2, 2, 1, 1})}},
                                       1.0f);
  EXPECT_CLOSE(delta(convolution, at::zeros({2, 2})), expected);
}

TEST(WorkedKinds, FourChannelChangeOfAnInpaintingInputPadsWithZeros) {
  const at::Tensor down = at::rand({2, 4, 3, 3}), up = at::rand({5, 2, 1, 1});
  const auto module = make_module(AdapterKind::kLocon, {{"lora_down.weight", down}, {"lora_up.weight", up}});
  const at::Tensor wide = delta(module, at::zeros({5, 9, 3, 3}));
  EXPECT_CLOSE(wide.narrow(1, 0, 4), delta(module, at::zeros({5, 4, 3, 3})));
  EXPECT_EQ(wide.narrow(1, 4, 5).abs().max().item<float>(), 0);
  EXPECT_EQ(formula_of(module, layer_shape({5, 9, 3, 3})).factors->down.size(1), 9);
}

TEST(Misfits, NameBothShapes) {
  EXPECT_EQ(misfit_of(worked_lora(), layer_shape({2, 5})),
            "lora_down.weight is [2, 2], but the layer [2, 5] needs [2, 5]");
  EXPECT_EQ(misfit_of(worked_lora(), layer_shape({7, 2})),
            "lora_up.weight is [2, 2], but the layer [7, 2] needs [7, 2]");
  EXPECT_EQ(misfit_of(worked_lora(), layer_shape({2})), "a LoRA module cannot change a norm");
}

TEST(Misfits, EveryKindRefusesForeignShapesWithoutThrowing) {
  const std::vector<Module> modules = {
      worked_lora(),
      make_module(AdapterKind::kLora,
                  {{"lora_down.weight", at::rand({2})}, {"lora_up.weight", at::scalar_tensor(1.0)}}),
      make_module(AdapterKind::kLora,
                  {{"lora_down.weight", at::rand({0, 3})}, {"lora_up.weight", at::rand({3, 0})}}),
      make_module(AdapterKind::kLocon, {{"lora_down.weight", at::rand({2, 3})},
                                        {"lora_up.weight", at::rand({3, 2})},
                                        {"lora_mid.weight", at::rand({2, 2, 2, 2, 2})}}),
      make_module(AdapterKind::kLoha, {{"hada_w1_a", at::rand({3})},
                                       {"hada_w1_b", at::rand({1, 3})},
                                       {"hada_w2_a", at::rand({3, 1})},
                                       {"hada_w2_b", at::scalar_tensor(1.0)}}),
      make_module(AdapterKind::kLokr,
                  {{"lokr_w1", at::scalar_tensor(1.0)}, {"lokr_w2", at::rand({2, 2, 2, 2, 2})}}),
      make_module(AdapterKind::kLokr, {{"lokr_w1_a", at::rand({2, 3})},
                                       {"lokr_w1_b", at::rand({2, 3})},
                                       {"lokr_w2_a", at::rand({2, 3})},
                                       {"lokr_w2_b", at::rand({1, 3})}}),
      make_module(AdapterKind::kIa3, {{"weight", at::rand({4})}, {"on_input", at::rand({2})}}),
      make_module(AdapterKind::kFull, {{"diff", at::rand({3, 5})}}),
      make_module(AdapterKind::kFull, {{"diff", at::rand({3, 4})}, {"diff_b", at::rand({4})}}),
      make_module(AdapterKind::kNorm, {{"w_norm", at::rand({3})}}),
      make_module(AdapterKind::kGlora, {{"a1.weight", at::rand({3})},
                                        {"a2.weight", at::rand({1})},
                                        {"b1.weight", at::rand({2, 2})},
                                        {"b2.weight", at::rand({3, 1})}}),
      make_module(AdapterKind::kOft, {{"oft_blocks", at::rand({2, 2, 3})}}),
      make_module(AdapterKind::kOft, {{"oft_diag", at::rand({3})}}),
      make_module(AdapterKind::kBoft, {{"oft_blocks", at::rand({9, 1, 3, 3})}}),
      worked_lora({{"dora_scale", at::rand({5})}}),
      worked_lora({{"scale", at::rand({5})}}),
      worked_lora({{"bias", at::rand({5})}}),
  };
  for (std::size_t i = 0; i < modules.size(); ++i)
    for (const auto& sizes : std::vector<std::vector<std::int64_t>>{{3, 7}, {3, 7, 3, 3}, {11}})
      EXPECT_NE(misfit_of(modules[i], layer_shape(sizes)), "")
          << "module " << i << ", layer rank " << sizes.size();
}

}  // namespace
}  // namespace lowrank::adapter
