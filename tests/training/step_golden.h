// One training step of a LoRA as PyTorch computed it (tools/fixtures/make_lora_training_golden.py and
// make_family_training_golden.py), to compare ours with.
#pragma once

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <cmath>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "adapter/trainable.h"
#include "support/expect_close.h"
#include "tensor/state_dict.h"
#include "training/optim/optimiser.h"
#include "training/optim/optimiser_table.h"
#include "weights/tensor_file.h"

namespace lowrank::training {

class StepGolden {
 public:
  explicit StepGolden(const std::string& name)
      : file_(weights::TensorFile::open(LOWRANK_TEST_FIXTURES "/training/" + name + ".safetensors")) {}

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
  void expect_step(const std::string& name, adapter::TrainableLora& lora, const at::Tensor& loss) const {
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
      // What is not read learns nothing: the last layer of SDXL's first text encoder.
      if (expected == 0) {
        EXPECT_FALSE(tensor.grad().defined()) << parameter;
        continue;
      }
      ASSERT_TRUE(tensor.grad().defined()) << parameter;
      EXPECT_NEAR(tensor.grad().norm().item<double>(), expected, 1e-3 * expected + 1e-8) << parameter;
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
      EXPECT_GE(compared, 13);
    };
    compare("clipped_gradient", true);
    optimiser->step(1);
    compare("after_step", false);
  }

 private:
  std::shared_ptr<const weights::TensorFile> file_;
};

}  // namespace lowrank::training
