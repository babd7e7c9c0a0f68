// Each kind of adapter on a small Stable Diffusion 1.x model against results of independent implementations
// that merged the adapter into the weights (fixtures README). LOWRANK_GOLDENS names another folder of the
// same layout: one NAME-goldens.safetensors with NAME.safetensors and NAME-<adapter>.safetensors beside it.
#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <string>
#include <vector>

#include "adapter/stack.h"
#include "formats/checkpoint/checkpoint.h"
#include "support/expect_close.h"
#include "tensor/state_dict.h"
#include "weights/tensor_file.h"

namespace lowrank::adapter {
namespace {

namespace fs = std::filesystem;

fs::path golden_folder() {
  const char* named = std::getenv("LOWRANK_GOLDENS");
  return named != nullptr && *named != '\0' ? fs::path(named) : fs::path(LOWRANK_TEST_FIXTURES) / "sd15-tiny";
}

// NAME of the one NAME-goldens.safetensors in the folder.
std::string golden_name(const fs::path& folder) {
  constexpr std::string_view kEnd = "-goldens.safetensors";
  for (const auto& file : fs::directory_iterator(folder))
    if (const std::string name = file.path().filename().string(); name.ends_with(kEnd))
      return name.substr(0, name.size() - kEnd.size());
  return "";
}

class LoraGolden : public ::testing::Test {
 protected:
  void SetUp() override {
    folder_ = golden_folder();
    name_ = golden_name(folder_);
    ASSERT_FALSE(name_.empty()) << "no *-goldens.safetensors in " << folder_;
    golden_ = weights::TensorFile::open(folder_ / (name_ + "-goldens.safetensors"));
    checkpoint_ = formats::open_checkpoint(folder_ / (name_ + ".safetensors"));
    unet_ = std::make_unique<model::UNet>(tensor::as_state_dict(checkpoint_.unet, checkpoint_.files[0]));
    text_encoder_ = std::make_unique<model::TextEncoder>(
        tensor::as_state_dict(checkpoint_.text_encoder, checkpoint_.files[0]));
  }

  at::Tensor golden(const std::string& key) const {
    const auto* view = golden_->find(key);
    return view == nullptr ? at::Tensor() : tensor::as_tensor(*view, golden_);
  }
  at::Tensor run_unet() const {
    return unet_->forward(golden("unet.a.x"), golden("unet.a.t"), golden("unet.a.context"));
  }
  at::Tensor run_text_encoder() const {
    return text_encoder_->encode(golden("clip.input_ids").to(at::kLong));
  }

  std::vector<std::string> adapters() const {
    std::vector<std::string> names;
    for (const auto& file : fs::directory_iterator(folder_)) {
      const std::string stem = file.path().stem().string();
      if (stem.starts_with(name_ + "-") && stem != name_ + "-goldens")
        names.push_back(stem.substr(name_.size() + 1));
    }
    std::sort(names.begin(), names.end());
    return names;
  }

  // Runs what the golden file holds for one adapter; true when it holds anything.
  bool compare(const std::string& adapter, const StackOptions& options) {
    const at::Tensor eps = golden("lora." + adapter + ".eps"),
                     text = golden("lora." + adapter + ".last_hidden_normed");
    const at::Tensor multiplier = golden("lora." + adapter + ".multiplier");
    const double weight = multiplier.defined() ? multiplier.to(at::kDouble).item<double>() : 1.0;
    AdapterStack stack(options);
    const ActiveAdapter active{
        .adapter = Adapter::match(formats::open_lora(folder_ / (name_ + "-" + adapter + ".safetensors")),
                                  *unet_, *text_encoder_),
        .te = weight,
        .unet = weight};
    stack.apply({&active, 1}, *unet_, *text_encoder_);
    const auto report = stack.reports().front();
    EXPECT_EQ(report.keys_applied, report.keys_total) << lowrank::adapter::text(report);
    if (eps.defined()) {
      EXPECT_TRUE(testing::expect_close(run_unet(), eps, {.rel = 1e-3}, adapter + " eps"));
    }
    if (text.defined()) {
      EXPECT_TRUE(testing::expect_close(run_text_encoder(), text, {.rel = 1e-3}, adapter + " text encoder"));
    }
    stack.clear();
    return eps.defined() || text.defined();
  }

  at::NoGradGuard no_grad_;
  fs::path folder_;
  std::string name_;
  std::shared_ptr<const weights::TensorFile> golden_;
  formats::Checkpoint checkpoint_;
  std::unique_ptr<model::UNet> unet_;
  std::unique_ptr<model::TextEncoder> text_encoder_;
};

TEST_F(LoraGolden, BaseModelAgreesWithoutAdapters) {
  EXPECT_TRUE(testing::expect_close(run_unet(), golden("unet.a.eps"), {.rel = 1e-3}, "unet.a.eps"));
  EXPECT_TRUE(
      testing::expect_close(run_text_encoder(), golden("clip.last_hidden_normed"), {.rel = 1e-3}, "clip"));
}

TEST_F(LoraGolden, EveryAdapterAgreesAsDerivedWeights) {
  int compared = 0;
  for (const std::string& adapter : adapters()) compared += compare(adapter, {});
  EXPECT_GT(compared, 0);
}

TEST_F(LoraGolden, EveryAdapterAgreesWithLowRankBesideTheLayers) {
  // No budget for copies: low-rank changes run as branches, the others as copies in the checkpoint's own type
  // (F16 here, whose rounding is of the size of the tolerance's tenth).
  int compared = 0;
  for (const std::string& adapter : adapters()) compared += compare(adapter, {.derived_budget_bytes = 0});
  EXPECT_GT(compared, 0);
}

TEST_F(LoraGolden, RemovingTheAdaptersRestoresTheModelBitForBit) {
  const at::Tensor unet_before = run_unet(), text_before = run_text_encoder();
  for (const std::string& adapter : adapters()) compare(adapter, {});
  EXPECT_TRUE(at::equal(run_unet(), unet_before));
  EXPECT_TRUE(at::equal(run_text_encoder(), text_before));
}

}  // namespace
}  // namespace lowrank::adapter
