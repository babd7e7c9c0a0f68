// One training step of a LoRA against PyTorch with the models of diffusers and transformers
// (tools/fixtures/make_lora_training_golden.py and make_family_training_golden.py).
#include <ATen/ATen.h>
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "adapter/trainable.h"
#include "pipeline/generate/size_vectors.h"
#include "pipeline/resident/checkpoint_loader.h"
#include "support/golden_model.h"
#include "support/temporary_folder.h"
#include "training/data/told_size.h"
#include "training/objective/lora_loss.h"
#include "training/step_golden.h"

namespace lowrank::training {
namespace {

using formats::PredictionType;

class LoraStep : public ::testing::Test {
 protected:
  at::Tensor golden(const std::string& name) const { return golden_.golden(name); }
  NoisedBatch batch(const at::Tensor& context) const {
    return {golden("latents"), golden("noise"), golden("timesteps"), {context}};
  }

  StepGolden golden_ = StepGolden("lora-step");
  pipeline::LoadedModel model_ =
      pipeline::load_model(LOWRANK_TEST_FIXTURES "/sd15-tiny/sd15-tiny.safetensors");
};

TEST_F(LoraStep, LossGradientsAndUpdateEqualPyTorchInUnetAndTextEncoder) {
  adapter::TrainableLora lora(model_.family(), model_.adaptable().parts, {.rank = 4, .alpha = 2});
  StepGolden::fill(lora);
  const at::Tensor context = model_.text_encoders.front()->encode(golden("ids"), 1);
  golden_.expect_step(
      "lora", lora,
      diffusion_loss(*model_.network, batch(context), PredictionType::kEpsilon, 5, noise_schedule(false)));
}

TEST_F(LoraStep, LossGradientsAndUpdateEqualPyTorchForConvolutionsAndVPrediction) {
  const at::Tensor context = model_.text_encoders.front()->encode(golden("ids"), 2);
  const std::vector<adapter::ModelPart> unet = {{formats::Component::kUnet, &model_.network->layers()}};
  adapter::TrainableLora lora(model_.family(), unet,
                              {.rank = 4, .alpha = 2, .conv_rank = 2, .conv_alpha = 1});
  StepGolden::fill(lora);
  golden_.expect_step(
      "locon_v", lora,
      diffusion_loss(*model_.network, batch(context), PredictionType::kV, 5, noise_schedule(false)));
}

// SDXL and SD 2.x, whose number of heads stands in their goldens.
class FamilyStep : public ::testing::Test {
 protected:
  explicit FamilyStep(const std::string& family) : golden_("lora-step-" + family) {
    testing::GoldenModel::open(LOWRANK_TEST_FIXTURES "/" + family + "-tiny")
        .write_stated(folder_.path() / "model.safetensors");
    model_ = pipeline::load_model(folder_.path() / "model.safetensors");
  }

  // All encoders' texts side by side, with a graph.
  model::Conditioning texts() const {
    std::vector<at::Tensor> sides;
    model::Conditioning encoded;
    for (std::size_t i = 0; i < model_.text_encoders.size(); ++i) {
      const auto output = model_.text_encoders[i]->read(golden_.golden(fmt::format("ids.{}", i)));
      sides.push_back(output.hidden);
      if (output.pooled.defined()) encoded.vector = output.pooled;
    }
    encoded.text = at::cat(sides, -1);
    return encoded;
  }

  // The numbers of SDXL from the golden's pictures: [width, height, bucket's width, bucket's height, mirrored].
  at::Tensor told() const {
    const at::Tensor pictures = golden_.golden("pictures");
    std::vector<at::Tensor> all;
    for (std::int64_t i = 0; i < pictures.size(0); ++i) {
      const auto at = [&](std::int64_t column) { return pictures[i][column].item<std::int64_t>(); };
      const auto size =
          told_size({at(0), at(1)}, {at(2), at(3)}, at(4) == 1 ? Mirrored::kYes : Mirrored::kNo);
      all.push_back(pipeline::size_vectors(model_.family().size_conditioning, size).prompt);
    }
    return at::stack(all);
  }

  struct Case {
    std::string name;
    PredictionType prediction;
    double min_snr_gamma;
    bool has_zero_terminal_snr;
    adapter::TrainableOptions network;
  };
  void expect(Case c) {
    c.network.unread_text_layers = model_.text_encoders.front()->unread_layers();
    adapter::TrainableLora lora(model_.family(), model_.adaptable().parts, c.network);
    StepGolden::fill(lora);
    NoisedBatch batch{golden_.golden("latents"), golden_.golden("noise"),
                      golden_.golden(c.name + ".timesteps"), texts()};
    if (batch.conditioning.vector.defined())
      batch.conditioning.vector = at::cat({batch.conditioning.vector, told()}, 1);
    golden_.expect_step(c.name, lora,
                        diffusion_loss(*model_.network, batch, c.prediction, c.min_snr_gamma,
                                       noise_schedule(c.has_zero_terminal_snr)));
  }

  const adapter::TrainableOptions plain_ = {.rank = 4, .alpha = 2};
  const adapter::TrainableOptions locon_ = {.rank = 4, .alpha = 2, .conv_rank = 2, .conv_alpha = 1};
  StepGolden golden_;
  testing::TemporaryFolder folder_;
  pipeline::LoadedModel model_;
};

struct SdxlStep : FamilyStep {
  SdxlStep() : FamilyStep("sdxl") {}
};
struct Sd2Step : FamilyStep {
  Sd2Step() : FamilyStep("sd2") {}
};

TEST_F(SdxlStep, LossGradientsAndUpdateEqualPyTorchInUnetAndBothEncoders) {
  expect({"lora", PredictionType::kEpsilon, 5, false, plain_});
}

TEST_F(SdxlStep, LossGradientsAndUpdateEqualPyTorchForConvolutionsVAndZeroTerminalSnr) {
  expect({"locon", PredictionType::kV, 5, true, locon_});
}

TEST_F(Sd2Step, LossGradientsAndUpdateEqualPyTorchInUnetAndTextEncoder) {
  expect({"lora", PredictionType::kV, 5, false, plain_});
}

TEST_F(Sd2Step, LossGradientsAndUpdateEqualPyTorchForConvolutions) {
  expect({"locon", PredictionType::kV, 0, false, locon_});
}

// What SDXL is told, beside kohya's own function in the script that made the golden.
TEST_F(SdxlStep, ToldSizesAreKohyas) {
  const at::Tensor pictures = golden_.golden("pictures"), sizes = golden_.golden("sizes");
  for (std::int64_t i = 0; i < pictures.size(0); ++i) {
    const auto at = [&](std::int64_t column) { return pictures[i][column].item<std::int64_t>(); };
    const auto size = told_size({at(0), at(1)}, {at(2), at(3)}, at(4) == 1 ? Mirrored::kYes : Mirrored::kNo);
    const std::vector<double> ours = {size.original_height, size.original_width, size.crop_top,
                                      size.crop_left,       size.target_height,  size.target_width};
    for (std::int64_t k = 0; k < 6; ++k)
      EXPECT_EQ(ours[static_cast<std::size_t>(k)], sizes[i][k].item<double>())
          << "picture " << i << ", " << k;
  }
}

}  // namespace
}  // namespace lowrank::training
