// Each kind of adapter on a small model of each family against results of independent implementations that merged the
// adapter into the weights (fixtures README). LOWRANK_GOLDENS names another folder of the same layout: one
// NAME-goldens.safetensors with NAME.safetensors and NAME-<adapter>.safetensors beside it. A golden of an adapter that
// nothing compares fails the test.
#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "adapter/stack.h"
#include "formats/checkpoint/checkpoint.h"
#include "model/text_encoder.h"
#include "model/unet.h"
#include "support/expect_close.h"
#include "support/golden_model.h"
#include "support/temporary_folder.h"
#include "tensor/state_dict.h"
#include "weights/tensor_file.h"

namespace lowrank::adapter {
namespace {

namespace fs = std::filesystem;

class LoraGolden : public ::testing::TestWithParam<fs::path> {
 protected:
  void SetUp() override {
    golden_.write_stated(folder_.path() / "model.safetensors");
    checkpoint_ = formats::open_checkpoint(folder_.path() / "model.safetensors");
    const formats::FamilyRow& family = *formats::family(checkpoint_.base_model);
    const auto state = [&](formats::Component component) {
      return tensor::as_state_dict(checkpoint_[component], checkpoint_.files[0]);
    };
    for (const formats::TextEncoderRow& row : family.text_encoders) {
      const auto heads = checkpoint_.text_heads.find(row.component);
      encoders_.push_back(std::make_unique<model::TextEncoder>(
          state(row.component), row,
          heads == checkpoint_.text_heads.end() ? std::nullopt : std::optional(heads->second),
          checkpoint_.unread_text_layers));
      parts_.text_widths.emplace(row.component, encoders_.back()->width());
      parts_.parts.push_back({row.component, &encoders_.back()->layers()});
    }
    unet_ = std::make_unique<model::UNet>(state(formats::Component::kUnet),
                                          checkpoint_.unet_heads.value_or(family.unet_heads));
    parts_.parts.push_back({formats::Component::kUnet, &unet_->layers()});
    parts_.base_model = checkpoint_.base_model;
    parts_.context_width = unet_->context_width();
  }

  at::Tensor golden(const std::string& key) {
    asked_.insert(key);
    return golden_.has(key) ? golden_[key] : at::Tensor();
  }

  // What the goldens call an output → the output.
  std::map<std::string, at::Tensor> run() {
    std::map<std::string, at::Tensor> outputs;
    outputs["eps"] = unet_->forward(golden("unet.a.x"), golden("unet.a.t"),
                                    {golden("unet.a.context"), golden("unet.a.y")});
    for (const auto& encoder : encoders_) {
      if (golden_.has("clip.input_ids")) {
        outputs["last_hidden_normed"] = encoder->encode(golden("clip.input_ids").to(at::kLong));
        continue;
      }
      const bool is_open = encoder->row().kind == formats::TextEncoderKind::kOpenClip;
      const std::string name = is_open ? "open_clip." : "clip_l.";
      const auto output = encoder->read(golden(name + "input_ids"));
      const bool is_normed = encoder->row().layer == formats::TextLayer::kPenultimateNormed;
      outputs[name + (is_normed ? "penultimate_normed" : "penultimate")] = output.hidden;
      if (output.pooled.defined()) outputs[name + "pooled"] = output.pooled;
    }
    return outputs;
  }

  // Runs one adapter at one multiplier against the goldens under `prefix`. How many outputs were compared.
  int compare(const std::string& adapter, const std::string& prefix, double weight,
              const StackOptions& options) {
    AdapterStack stack(options);
    const ActiveAdapter active{
        .adapter = Adapter::match(formats::open_lora(golden_.adapter_path(adapter)), parts_),
        .te = weight,
        .unet = weight};
    stack.apply({&active, 1}, parts_);
    const auto report = stack.reports().front();
    EXPECT_EQ(report.keys_applied, report.keys_total) << lowrank::adapter::text(report);
    int compared = 0;
    for (const auto& [name, output] : run()) {
      const at::Tensor expected = golden(prefix + name);
      if (!expected.defined()) continue;
      ++compared;
      EXPECT_TRUE(testing::expect_close(output, expected, {.rel = 1e-3}, prefix + name));
    }
    stack.clear();
    return compared;
  }

  // Where a kind means different things off multiplier 1, the goldens hold the rule of the specification as `.interpolate`
  // and what all agree on as `.m1`; other programs' readings are not ours.
  int compare(const std::string& adapter, const StackOptions& options) {
    const std::string key = "lora." + adapter + ".";
    const at::Tensor multiplier = golden(key + "multiplier");
    const double weight = multiplier.defined() ? multiplier.to(at::kDouble).item<double>() : 1.0;
    const bool is_read_differently = std::ranges::any_of(golden_.goldens->tensors(), [&](const auto& view) {
      return view.name.starts_with(key + "interpolate.");
    });
    if (!is_read_differently) return compare(adapter, key, weight, options);
    return compare(adapter, key + "interpolate.", weight, options) +
           compare(adapter, key + "m1.", 1, options);
  }

  int compare_all(const StackOptions& options) {
    int compared = 0;
    for (const std::string& adapter : golden_.adapters())
      if (is_lora(adapter)) compared += compare(adapter, options);
    return compared;
  }
  // The two marks of a v-prediction model are no LoRA.
  static bool is_lora(const std::string& adapter) { return adapter != "vpred-keys"; }
  bool has_adapters() const { return std::ranges::any_of(golden_.adapters(), is_lora); }

  at::NoGradGuard no_grad_;
  testing::GoldenModel golden_ = testing::GoldenModel::open(GetParam());
  testing::TemporaryFolder folder_;
  formats::Checkpoint checkpoint_;
  std::vector<std::unique_ptr<model::TextEncoder>> encoders_;
  std::unique_ptr<model::UNet> unet_;
  ModelParts parts_;
  std::set<std::string> asked_;
};

TEST_P(LoraGolden, BaseModelAgreesWithoutAdapters) {
  const auto outputs = run();
  EXPECT_TRUE(testing::expect_close(outputs.at("eps"), golden("unet.a.eps"), {.rel = 1e-3}, "unet.a.eps"));
  for (const auto& [name, output] : outputs) {
    const std::string key = name == "last_hidden_normed" ? "clip." + name : name;
    if (name != "eps") {
      EXPECT_TRUE(testing::expect_close(output, golden(key), {.rel = 1e-3}, key));
    }
  }
}

TEST_P(LoraGolden, EveryAdapterAgreesAsDerivedWeights) {
  EXPECT_EQ(compare_all({}) > 0, has_adapters());
  const auto is_foreign_reading = [](const std::string& key) {
    for (const char* kind : {"lora.dora.", "lora.dora_peft.", "lora.boft."})
      if (key.starts_with(kind)) return true;
    return false;
  };
  for (const auto& view : golden_.goldens->tensors())
    EXPECT_TRUE(!view.name.starts_with("lora.") || asked_.contains(view.name) ||
                is_foreign_reading(view.name))
        << "nothing checks the golden " << view.name;
}

TEST_P(LoraGolden, EveryAdapterAgreesWithLowRankBesideTheLayers) {
  // No budget for copies: low-rank changes run as branches, the others as copies in the checkpoint's own type
  // (F16 here, whose rounding is of the size of the tolerance's tenth).
  EXPECT_EQ(compare_all({.derived_budget_bytes = 0}) > 0, has_adapters());
}

TEST_P(LoraGolden, RemovingTheAdaptersRestoresTheModelBitForBit) {
  const auto before = run();
  compare_all({});
  for (const auto& [name, output] : run()) EXPECT_TRUE(at::equal(output, before.at(name))) << name;
}

INSTANTIATE_TEST_SUITE_P(Families, LoraGolden, ::testing::ValuesIn(testing::GoldenModel::folders()),
                         [](const auto& set) { return testing::GoldenModel::test_name(set.param); });

}  // namespace
}  // namespace lowrank::adapter
