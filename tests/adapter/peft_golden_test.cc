// Every kind of adapter that PEFT writes against the weights that PEFT itself makes of it
// (tools/fixtures/make_peft_goldens.py): read from its two files, matched with the layers, evaluated.
#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <set>
#include <string>
#include <vector>

#include "adapter/kinds/kinds.h"
#include "adapter/modules.h"
#include "adapter/stack.h"
#include "adapter/tiny_model.h"
#include "base/error.h"
#include "formats/lora/lora_fit.h"
#include "tensor/state_dict.h"
#include "weights/tensor_file.h"

namespace lowrank::adapter {
namespace {

namespace fs = std::filesystem;
using formats::AdapterKind;

fs::path folder() {
  return fs::path(LOWRANK_TEST_FIXTURES) / "peft";
}

tensor::StateDict load(const fs::path& path) {
  const auto file = weights::TensorFile::open(path);
  tensor::StateDict state;
  for (const auto& view : file->tensors()) state[view.name] = tensor::as_tensor(view, file).clone();
  return state;
}

std::vector<std::string> case_names() {
  std::vector<std::string> names = {"diffusers"};
  for (const auto& entry : fs::directory_iterator(folder()))
    if (entry.is_directory()) names.push_back(entry.path().filename().string());
  std::ranges::sort(names);
  return names;
}

fs::path file_of(const std::string& name) {
  return name == "diffusers" ? folder() / "diffusers.safetensors"
                             : folder() / name / "adapter_model.safetensors";
}

std::string layer_of(std::string module) {
  constexpr std::string_view kRoot = "base_model.model.";
  return module.starts_with(kRoot) ? module.substr(kRoot.size()) : module;
}

// How far `ours` is from `golden`, as a share of what the adapter changes.
double error_of(const at::Tensor& ours, const at::Tensor& golden, const at::Tensor& base) {
  const auto length = [](const at::Tensor& tensor) { return tensor.to(at::kDouble).norm().item<double>(); };
  return length(ours - golden) / length(golden - base);
}

// What a file makes of the base layers, against what PEFT makes of them.
void expect_as_peft(const std::string& name, const formats::LoraFile& lora) {
  const auto base = load(folder() / "base.safetensors"), merged = load(folder() / "merged.safetensors");
  EXPECT_TRUE(lora.unknown.empty()) << lora.unknown.front();
  EXPECT_TRUE(lora.skipped.empty()) << lora.skipped.front().module << ": " << lora.skipped.front().reason;
  formats::LayerTable layers;
  for (const auto& [key, tensor] : base)
    if (key.ends_with(".weight"))
      layers.emplace(key.substr(0, key.size() - 7), sizes_of(testing::layer_shape(tensor.sizes().vec())));
  const auto match = formats::match_lora(
      lora, formats::layers_of({{formats::Component::kUnet, layers}}, formats::BaseModel::kOther));
  std::size_t compared = 0;
  for (const auto& entry : lora.entries) {
    const std::string layer = layer_of(entry.module);
    const at::Tensor weight = base.at(layer + ".weight"), bias = base.at(layer + ".bias");
    Module module = as_module(entry, lora.file);
    if (formats::draws_shared(entry))
      kinds::lend(module, kinds::draw_shared(entry.kind, entry.settings, entry.rank,
                                             match.spans.at(formats::Component::kUnet)));
    const Formula formula = testing::formula_of(module, testing::layer_shape(weight.sizes().vec()));
    if (entry.kind != AdapterKind::kBias) {
      ASSERT_TRUE(formula.weight) << layer;
      const auto golden = merged.find(name + ":" + layer + ".weight");
      ASSERT_NE(golden, merged.end()) << layer;
      EXPECT_LT(error_of(weight + formula.weight(weight, {}), golden->second, weight), 1e-3) << layer;
      ++compared;
    }
    at::Tensor changed = bias;
    if (formula.whole_bias.defined()) changed = formula.whole_bias;
    if (formula.bias.defined()) changed = changed + formula.bias;
    if (formula.bias_gain.defined()) changed = changed + bias * formula.bias_gain;
    if (const auto theirs = merged.find(name + ":" + layer + ".bias"); theirs != merged.end()) {
      EXPECT_LT(error_of(changed, theirs->second, bias), 1e-3) << layer;
      ++compared;
    } else {
      EXPECT_TRUE(at::equal(changed, bias)) << layer;
    }
  }
  const auto wanted =
      std::ranges::count_if(merged, [&](const auto& item) { return item.first.starts_with(name + ":"); });
  EXPECT_EQ(static_cast<std::ptrdiff_t>(compared), wanted);
  EXPECT_GT(compared, 0u);
}

class PeftGolden : public ::testing::TestWithParam<std::string> {};

TEST_P(PeftGolden, EveryLayerBecomesWhatPeftMakesOfIt) {
  expect_as_peft(GetParam(), formats::open_lora(file_of(GetParam())));
}

// The same tensors under the names that they bear in PEFT's own model, as torch.save() of its state_dict() writes them.
TEST_P(PeftGolden, TheModelsOwnKeysMeanTheSame) {
  const std::string name = GetParam();
  if (name == "diffusers") GTEST_SKIP();  // one name more on the same keys
  if (name.starts_with("shira")) GTEST_SKIP() << "its indices are no part of the model's state";
  const auto raw = nlohmann::json::parse(std::ifstream(folder() / "raw_keys.json")).at(name);
  tensor::StateDict tensors;
  for (const auto& [key, tensor] : load(file_of(name))) tensors[raw.value(key, key)] = tensor;
  const fs::path here = fs::path(::testing::TempDir()) / "raw-peft" / name;
  fs::create_directories(here);
  tensor::save_state_dict((here / "adapter_model.safetensors").string(), tensors);
  fs::copy_file(folder() / name / "adapter_config.json", here / "adapter_config.json",
                fs::copy_options::overwrite_existing);
  EXPECT_FALSE(raw.empty());
  expect_as_peft(name, formats::open_lora(here / "adapter_model.safetensors"));
}

INSTANTIATE_TEST_SUITE_P(Cases, PeftGolden, ::testing::ValuesIn(case_names()),
                         [](const auto& golden) { return golden.param; });

TEST(PeftGoldens, HoldEveryKindThatPeftAloneWrites) {
  std::set<AdapterKind> kinds;
  for (const std::string& name : case_names())
    for (const auto& entry : formats::open_lora(file_of(name)).entries) kinds.insert(entry.kind);
  for (int kind = static_cast<int>(AdapterKind::kKasa); kind <= static_cast<int>(AdapterKind::kBias); ++kind)
    EXPECT_TRUE(kinds.contains(static_cast<AdapterKind>(kind))) << kind;
}

// Whatever else acts: what PiSSA takes away is of the checkpoint's weight, so the changes add up in any order.
TEST(AdapterStack, AStartIsTakenFromTheCheckpointsWeightBesideOtherLoras) {
  testing::TinyModel model;
  const auto pissa =
      Adapter::match(testing::write_and_open(
                         "pissa", testing::random_lora(model, testing::RandomKind::kLora, 5),
                         {{"lora_adapter_metadata", R"({"init_lora_weights": "pissa", "lora_alpha": 2})"}}),
                     testing::parts_of(model.unet, model.text_encoder));
  const auto other = testing::random_adapter(model, testing::RandomKind::kLora, 6, 2);
  const std::string path = "input_blocks.1.1.transformer_blocks.0.attn1.to_q";
  const auto& layer = *model.unet.layers().at(path);
  const auto weight_with = [&](std::vector<ActiveAdapter> active) {
    AdapterStack stack;
    stack.apply(active, testing::parts_of(model.unet, model.text_encoder));
    const at::Tensor weight = layer.slot().derived_weight.make().to(at::kFloat).clone();
    stack.clear();
    return weight;
  };
  const at::Tensor base = layer.weight().to(at::kFloat);
  const at::Tensor first = weight_with({{.adapter = pissa}}), second = weight_with({{.adapter = other}});
  const at::Tensor sum = first + second - base;
  EXPECT_GT((first - base).norm().item<double>(), 0.1 * base.norm().item<double>());
  EXPECT_LT((weight_with({{.adapter = pissa}, {.adapter = other}}) - sum).norm().item<double>(),
            1e-5 * sum.norm().item<double>());
  EXPECT_LT((weight_with({{.adapter = other}, {.adapter = pissa}}) - sum).norm().item<double>(),
            1e-5 * sum.norm().item<double>());
}

// With a weight between, a bias that was trained along lies between the checkpoint's and its own.
TEST(AdapterStack, AWholeBiasTakesThePlaceOfTheCheckpoints) {
  testing::TinyModel model;
  const std::string module = "lora_unet_down_blocks_0_attentions_0_transformer_blocks_0_attn1_to_out_0";
  const auto& layer = *model.unet.layers().at("input_blocks.1.1.transformer_blocks.0.attn1.to_out.0");
  const at::Tensor own = at::rand({layer.weight().size(0)});
  const auto adapter = Adapter::match(testing::write_and_open("bias", {{module + ".base_layer.bias", own}}),
                                      testing::parts_of(model.unet, model.text_encoder));
  AdapterStack stack;
  const ActiveAdapter active{.adapter = adapter, .unet = 0.25};
  stack.apply({&active, 1}, testing::parts_of(model.unet, model.text_encoder));
  const at::Tensor base = layer.bias().to(at::kFloat);
  EXPECT_TRUE(at::allclose(layer.slot().derived_bias, base + 0.25 * (own - base)));
  EXPECT_FALSE(layer.slot().derived_weight.defined());
  stack.clear();
}

TEST(AdapterStack, DecompositionsAreToldAndCanBeStopped) {
  testing::TinyModel model;
  const auto pissa =
      Adapter::match(testing::write_and_open(
                         "pissa", testing::random_lora(model, testing::RandomKind::kLora, 5),
                         {{"lora_adapter_metadata", R"({"init_lora_weights": "pissa", "lora_alpha": 2})"}}),
                     testing::parts_of(model.unet, model.text_encoder));
  AdapterStack stack;
  const ActiveAdapter active{.adapter = pissa};
  stack.apply({&active, 1}, testing::parts_of(model.unet, model.text_encoder));
  std::stop_source stopped;
  stopped.request_stop();
  EXPECT_THROW(stack.prepare({}, stopped.get_token()), Error);
  std::int64_t done = 0, total = 0;
  stack.prepare(
      [&](std::int64_t layers, std::int64_t all) {
        EXPECT_GE(layers, done);
        done = layers;
        total = all;
      },
      {});
  EXPECT_EQ(done, static_cast<std::int64_t>(pissa->targets().size()));
  EXPECT_EQ(done, total);
  stack.clear();
}

// One verdict: what is told from headers is what the engine does, module by module, in the same words.
TEST(AdapterMatch, AgreesWithTheVerdictFromHeaders) {
  const fs::path path = fs::path(LOWRANK_TEST_FIXTURES) / "sd15-tiny" / "sd15-tiny.safetensors";
  const auto checkpoint = formats::open_checkpoint(path);
  const model::UNet unet(tensor::as_state_dict(checkpoint[formats::Component::kUnet], checkpoint.files[0]));
  const model::TextEncoder text_encoder(
      tensor::as_state_dict(checkpoint[formats::Component::kTextEncoder], checkpoint.files[0]));
  for (const std::string& name : case_names()) {
    const auto lora = formats::open_lora(file_of(name));
    bool acts = true;
    try {
      Adapter::match(lora, testing::parts_of(unet, text_encoder));
    } catch (const Error&) {
      acts = false;
    }
    EXPECT_EQ(formats::fit_lora(lora, checkpoint).applies(), acts) << name;
  }
  const std::string block = "lora_unet_down_blocks_0_attentions_0_";
  const std::string q = block + "transformer_blocks_0_attn1_to_q",
                    k = block + "transformer_blocks_0_attn1_to_k",
                    v = block + "transformer_blocks_0_attn1_to_v",
                    ff = block + "transformer_blocks_0_ff_net_2",
                    conv = "lora_unet_down_blocks_0_resnets_0_conv1";
  const auto sizes = [&](const char* name) { return unet.layers().at(name)->weight().sizes().vec(); };
  const auto q_sizes = sizes("input_blocks.1.1.transformer_blocks.0.attn1.to_q");
  const auto conv_sizes = sizes("input_blocks.1.0.in_layers.2");
  const std::int64_t out = q_sizes[0], in = q_sizes[1];
  const auto file = testing::write_and_open(
      "verdict", {{q + ".lora_down.weight", at::rand({2, in})},
                  {q + ".lora_up.weight", at::rand({out, 2})},
                  {q + ".dora_scale", at::rand({out + 1, 1})},  // of no side
                  {k + ".a1.weight", at::rand({in, 2})},
                  {k + ".a2.weight", at::rand({2, in})},
                  {k + ".b1.weight", at::rand({out + 3, 2})},  // too long
                  {k + ".b2.weight", at::rand({2, in})},
                  {v + ".weight", at::rand({out + 1})},
                  {v + ".on_input", at::scalar_tensor(false, at::kBool)},
                  {ff + ".oft_blocks", at::rand({1, 3, 3})},
                  {block + "norm.lora_down.weight", at::rand({2, out})},  // a norm takes none
                  {block + "norm.lora_up.weight", at::rand({out, 2})},
                  {block + "proj_in.lora_down.weight", at::rand({2, in})},
                  {block + "proj_in.lora_up.weight", at::rand({out, 2})},
                  {block + "proj_in.bias", at::rand({3})},
                  {conv + ".lora_down.weight", at::rand({2, conv_sizes[1] * 9})},  // flattened
                  {conv + ".lora_up.weight", at::rand({conv_sizes[0], 2})},
                  {"lora_unet_input_blocks_1_1_proj_out.diff", at::rand({out, in})},  // twice
                  {block + "proj_out.diff", at::rand({out, in})}});
  const auto fit = formats::fit_lora(file, checkpoint);
  const auto adapter = Adapter::match(file, testing::parts_of(unet, text_encoder));
  EXPECT_EQ(static_cast<std::size_t>(fit.applied_unet + fit.applied_text), adapter->targets().size());
  std::multiset<std::string> told, done;
  for (const auto& unmet : fit.unmet) told.insert(unmet.module + ": " + unmet.reason);
  for (const auto& skipped : adapter->skipped()) done.insert(skipped.module + ": " + skipped.reason);
  EXPECT_EQ(told, done);
  EXPECT_EQ(done.size(), 8u);
  ASSERT_EQ(adapter->targets().size(), 1u);
  EXPECT_EQ(adapter->targets()[0].module, conv);
}

}  // namespace
}  // namespace lowrank::adapter
