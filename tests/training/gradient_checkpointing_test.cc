// With blocks computed again in the backward pass a training gives what it gives without, bit for bit.
#include <ATen/ATen.h>
#include <ATen/CPUGeneratorImpl.h>
#include <gtest/gtest.h>

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "adapter/trainable.h"
#include "pipeline/resident/checkpoint_loader.h"
#include "support/golden_model.h"
#include "support/temporary_folder.h"
#include "training/lora_runs.h"
#include "training/objective/lora_loss.h"
#include "training/run/train_state.h"
#include "training/step_golden.h"

namespace lowrank::training {
namespace {

// Leaves numbers out by chance, always the same, and counts how often it is asked.
struct CountingDropout : model::LayerPatch {
  at::Tensor add_to(at::Tensor y, const at::Tensor& x) const override {
    ++calls;
    const at::Tensor mask = at::rand(y.sizes(), at::make_generator<at::CPUGeneratorImpl>(11)) > 0.1;
    return y * mask + 0 * x.mean();
  }
  mutable int calls = 0;
};

struct Outcome {
  at::Tensor loss;
  std::map<std::string, at::Tensor> gradients;
  int calls = 0;
};

class Checkpointing : public ::testing::TestWithParam<const char*> {
 protected:
  Checkpointing() {
    const std::string family = GetParam();
    if (family == "sd15") {
      model_ = pipeline::load_model(LOWRANK_TEST_FIXTURES "/sd15-tiny/sd15-tiny.safetensors");
      return;
    }
    testing::GoldenModel::open(LOWRANK_TEST_FIXTURES "/" + family + "-tiny")
        .write_stated(folder_.path() / "model.safetensors");
    model_ = pipeline::load_model(folder_.path() / "model.safetensors");
  }

  model::Conditioning texts() const {
    std::vector<at::Tensor> sides;
    model::Conditioning encoded;
    for (const auto& encoder : model_.text_encoders) {
      const auto output = encoder->read(at::arange(2 * 77).view({2, 77}) % 90);
      sides.push_back(output.hidden);
      if (output.pooled.defined()) encoded.vector = output.pooled;
    }
    encoded.text = at::cat(sides, -1);
    if (const auto width = model_.network->vector_width(); width > 0)
      encoded.vector = at::cat({encoded.vector, at::full({2, width - encoded.vector.size(1)}, 0.5)}, 1);
    return encoded;
  }

  // One step of loss and gradients; the U-Net, its convolutions and the text encoders learn.
  Outcome step(bool recomputes, at::ScalarType compute) {
    model::ComputePolicy& policy = *model_.network->policy();
    policy.recomputes_blocks = recomputes;
    policy.compute = compute;
    adapter::TrainableLora lora(model_.family(), model_.adaptable().parts,
                                {.rank = 4,
                                 .alpha = 2,
                                 .conv_rank = 2,
                                 .conv_alpha = 1,
                                 .unread_text_layers = model_.text_encoders.front()->unread_layers()});
    StepGolden::fill(lora);
    const auto counting = std::make_shared<CountingDropout>();
    model::Layer& layer = *model_.network->layers().at("middle_block.1.transformer_blocks.0.attn1.to_q");
    model::Layer::Slot slot = layer.slot();
    const model::Layer::Slot before = slot;
    slot.patches.push_back(counting);
    layer.set_slot(slot);
    const at::Generator generator = at::make_generator<at::CPUGeneratorImpl>(5);
    const auto normal = [&] { return at::empty({2, 4, 9, 16}).normal_(0, 1, generator); };
    const at::Tensor latents = normal(), noise = normal();
    const NoisedBatch batch{latents, noise, at::tensor({17, 801}, at::kLong), texts()};
    Outcome outcome;
    outcome.loss =
        diffusion_loss(*model_.network, batch, formats::PredictionType::kEpsilon, 5, noise_schedule(false));
    outcome.loss.backward();
    for (const auto& parameter : lora.parameters())
      outcome.gradients.emplace(parameter.name, parameter.tensor.grad());
    outcome.calls = counting->calls;
    layer.set_slot(before);
    return outcome;
  }

  testing::TemporaryFolder folder_;
  pipeline::LoadedModel model_;
};

TEST_P(Checkpointing, GivesTheSameLossAndGradientsBitForBit) {
  for (const at::ScalarType compute : {at::kFloat, at::kBFloat16}) {
    const Outcome kept = step(false, compute), made_again = step(true, compute);
    EXPECT_EQ(kept.calls, 1);
    EXPECT_EQ(made_again.calls, 2) << "the block was not run again";
    EXPECT_TRUE(at::equal(kept.loss, made_again.loss));
    ASSERT_EQ(kept.gradients.size(), made_again.gradients.size());
    int compared = 0;
    for (const auto& [name, gradient] : kept.gradients) {
      const at::Tensor& again = made_again.gradients.at(name);
      ASSERT_EQ(gradient.defined(), again.defined()) << name;
      if (!gradient.defined()) continue;  // of a text layer that is not read
      EXPECT_GT(gradient.abs().max().item<float>(), 0) << name;
      EXPECT_TRUE(at::equal(gradient, again)) << name;
      ++compared;
    }
    EXPECT_GT(compared, 100);
  }
}

INSTANTIATE_TEST_SUITE_P(Families, Checkpointing, ::testing::Values("sd15", "sd2", "sdxl"),
                         [](const auto& tested) { return std::string(tested.param); });

using CheckpointedRun = LoraRuns;

TEST_F(CheckpointedRun, SavesTheSameStateAndLoraBitForBit) {
  LoraTrainOptions kept = options("kept"), made_again = options("again");
  made_again.gradient_checkpointing = true;
  for (auto* o : {&kept, &made_again}) o->gradient_accumulation = 2;
  interrupt(kept, 3);
  interrupt(made_again, 3);
  EXPECT_EQ(checksum(load_train_state(kept.state_file())->tensors),
            checksum(load_train_state(made_again.state_file())->tensors));
  // A run may go on either way.
  std::swap(kept.gradient_checkpointing, made_again.gradient_checkpointing);
  EXPECT_EQ(train(kept).losses, train(made_again).losses);
  EXPECT_EQ(data_hash(kept.output_file()), data_hash(made_again.output_file()));
}

}  // namespace
}  // namespace lowrank::training
