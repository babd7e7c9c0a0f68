// One training step of a LoRA against PyTorch with the models of diffusers and transformers
// (tools/fixtures/make_lora_training_golden.py).
#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <cmath>
#include <map>
#include <set>

#include "adapter/trainable.h"
#include "pipeline/resident/checkpoint_loader.h"
#include "support/expect_close.h"
#include "tensor/state_dict.h"
#include "training/objective/diffusion_loss.h"
#include "training/objective/lora_loss.h"
#include "training/optim/optimiser.h"
#include "training/optim/optimiser_table.h"
#include "weights/tensor_file.h"

namespace lowrank::training {
namespace {

using formats::PredictionType;

class LoraStep : public ::testing::Test {
 protected:
  LoraStep() : file_(weights::TensorFile::open(LOWRANK_TEST_FIXTURES "/training/lora-step.safetensors")) {}

  at::Tensor golden(const std::string& name) const {
    const auto* view = file_->find(name);
    EXPECT_NE(view, nullptr) << name;
    return view == nullptr ? at::Tensor() : tensor::as_tensor(*view, file_);
  }

  // The fixture's values: amplitude · sin(0.37 i + phase), phase: rank of the name in byte order.
  static void fill(adapter::TrainableLora& lora) {
    tensor::StateDict state;
    std::set<std::string> names;
    for (const auto& p : lora.parameters()) names.insert(p.name);
    std::map<std::string, double> phases;
    for (const auto& name : names) phases.emplace(name, static_cast<double>(phases.size()));
    for (const auto& p : lora.parameters()) {
      const double amplitude = p.name.find("lora_down") != std::string::npos ? 0.08 : 0.05;
      const at::Tensor i = at::arange(p.tensor.numel(), at::kDouble);
      state.emplace(
          p.name, (amplitude * at::sin(0.37 * i + phases.at(p.name))).to(at::kFloat).view(p.tensor.sizes()));
    }
    lora.load(state);
  }

  // Backward, clipping and one AdamW step; compares everything that the fixture recorded under `name`.
  void expect_step(const std::string& name, adapter::TrainableLora& lora, const at::Tensor& loss) {
    EXPECT_NEAR(loss.item<double>(), golden(name + ".loss").item<double>(),
                1e-3 * golden(name + ".loss").item<double>());
    loss.backward();
    std::map<std::string, at::Tensor> parameters;
    std::vector<TrainedParameter> trained;
    for (const auto& p : lora.parameters()) {
      parameters.emplace(p.name, p.tensor);
      trained.push_back({p.name, p.tensor, 1e-3});
    }
    const at::Tensor norms = golden(name + ".gradient_norms");
    ASSERT_EQ(static_cast<std::int64_t>(parameters.size()), norms.numel());
    std::int64_t i = 0;
    for (const auto& [parameter, tensor] : parameters) {
      const double expected = norms[i++].item<double>();
      ASSERT_TRUE(tensor.grad().defined()) << parameter;
      EXPECT_NEAR(tensor.grad().norm().item<double>(), expected, 1e-3 * expected + 1e-9) << parameter;
    }
    const auto optimiser = make_optimiser("AdamW", trained, {.weight_decay = 0.01});
    optimiser->clip_gradients(1.0);
    const auto compare = [&](const std::string& kind, bool is_gradient) {
      int compared = 0;
      for (const auto& view : file_->tensors()) {
        const std::string prefix = name + "." + kind + ".";
        if (!view.name.starts_with(prefix)) continue;
        const at::Tensor& parameter = parameters.at(view.name.substr(prefix.size()));
        const at::Tensor ours = is_gradient ? parameter.grad() : parameter, expected = golden(view.name);
        // Where a norm has one channel a group, it cancels what a time projection adds: that gradient is
        // rounding noise.
        if (is_gradient && expected.abs().max().item<double>() < 1e-9) {
          EXPECT_LT(ours.abs().max().item<double>(), 1e-8) << view.name;
        } else {
          EXPECT_TRUE(testing::expect_close(ours, expected, {.rel = 1e-3}, view.name));
        }
        ++compared;
      }
      EXPECT_GE(compared, 14);
    };
    compare("clipped_gradient", true);
    optimiser->step(1);
    compare("after_step", false);
  }

  NoisedBatch batch(const at::Tensor& context) const {
    return {golden("latents"), golden("noise"), golden("timesteps"), {context}};
  }

  std::shared_ptr<const weights::TensorFile> file_;
  pipeline::LoadedModel model_ =
      pipeline::load_model(LOWRANK_TEST_FIXTURES "/sd15-tiny/sd15-tiny.safetensors");
};

TEST_F(LoraStep, LossGradientsAndUpdateEqualPyTorchInUnetAndTextEncoder) {
  adapter::TrainableLora lora(model_.family(), model_.adaptable().parts, {.rank = 4, .alpha = 2});
  fill(lora);
  const at::Tensor context = model_.text_encoders.front()->encode(golden("ids"), 1);
  expect_step("lora", lora,
              diffusion_loss(*model_.network, batch(context), PredictionType::kEpsilon, 5, alphas_cumprod()));
}

TEST_F(LoraStep, LossGradientsAndUpdateEqualPyTorchForConvolutionsAndVPrediction) {
  const at::Tensor context = model_.text_encoders.front()->encode(golden("ids"), 2);
  const std::vector<adapter::ModelPart> unet = {{formats::Component::kUnet, &model_.network->layers()}};
  adapter::TrainableLora lora(model_.family(), unet,
                              {.rank = 4, .alpha = 2, .conv_rank = 2, .conv_alpha = 1});
  fill(lora);
  expect_step("locon_v", lora,
              diffusion_loss(*model_.network, batch(context), PredictionType::kV, 5, alphas_cumprod()));
}

}  // namespace
}  // namespace lowrank::training
