// U-Nets of SD 2.x and SDXL with 9 input channels against diffusers (tools/fixtures/make_inpainting_goldens.py).
#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>
#include <gtest/gtest.h>

#include "formats/checkpoint/diffusers_folder.h"
#include "model/unet.h"
#include "support/expect_close.h"
#include "support/golden_model.h"

namespace lowrank {
namespace {

TEST(InpaintingGolden, UnetsOfSd2AndSdxlEqualDiffusers) {
  const at::NoGradGuard no_grad;
  const std::filesystem::path folder = std::filesystem::path(LOWRANK_TEST_FIXTURES) / "inpainting";
  for (const std::string name : {"sd2", "sdxl"}) {
    SCOPED_TRACE(name);
    const auto file = weights::TensorFile::open(folder / (name + ".safetensors"));
    const auto goldens = weights::TensorFile::open(folder / (name + "-goldens.safetensors"));
    const auto golden = [&](const char* key) {
      const auto* view = goldens->find(key);
      return view == nullptr ? at::Tensor() : tensor::as_tensor(*view, goldens);
    };
    formats::Checkpoint checkpoint;
    formats::add_diffusers_unet(checkpoint, file->tensors(), "");
    EXPECT_TRUE(checkpoint.unused.empty());
    const model::UNet unet(tensor::as_state_dict(checkpoint[formats::Component::kUnet], file),
                           formats::AttentionHeads{.width = golden("head_width").item<std::int64_t>()});
    EXPECT_EQ(unet.in_channels(), 9);
    const auto out = unet.forward(golden("x"), golden("t").to(at::kFloat), {golden("context"), golden("y")});
    EXPECT_TRUE(testing::expect_close(out, golden("out"), {.rel = 1e-3}));
  }
}

}  // namespace
}  // namespace lowrank
