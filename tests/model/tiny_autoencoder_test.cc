// Tiny autoencoders against diffusers' AutoencoderTiny (tools/fixtures/make_tiny_autoencoders.py), in the layouts that their files
// come in.
#include "model/tiny_autoencoder.h"

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>

#include "base/error.h"
#include "tensor/state_dict.h"

namespace lowrank::model {
namespace {

namespace fs = std::filesystem;
using formats::TinyHalf;

const fs::path kFixtures = fs::path(LOWRANK_TEST_FIXTURES) / "tiny-autoencoder";

at::Tensor golden(const char* name) {
  const auto file = weights::TensorFile::open(kFixtures / "goldens.safetensors");
  return tensor::as_tensor(*file->find(name), file).clone();
}

tensor::StateDict state_of(const char* name, TinyHalf half) {
  const auto file = formats::open_tiny_autoencoder(kFixtures / name);
  return tensor::as_state_dict(file[half], file.file);
}

void expect_near(const at::Tensor& ours, const at::Tensor& theirs) {
  ASSERT_EQ(ours.sizes(), theirs.sizes());
  EXPECT_LE((ours - theirs).abs().max().item<float>(), 1e-3 * theirs.abs().max().item<float>());
}

constexpr const char* kBoth = "taesd/diffusion_pytorch_model.safetensors";

TEST(TinyAutoencoder, DecodesAsDiffusersDoesFromEitherNaming) {
  for (const bool has_gradients : {false, true}) {  // the kernels, and libtorch
    at::AutoGradMode mode(has_gradients);
    for (const char* file : {"taesd_decoder.pth", kBoth})
      expect_near(TinyDecoder(state_of(file, TinyHalf::kDecoder)).decode(golden("latent")),
                  golden("decoded"));
  }
}

TEST(TinyAutoencoder, EncodesAsDiffusersDoesFromEitherNaming) {
  for (const bool has_gradients : {false, true}) {
    at::AutoGradMode mode(has_gradients);
    for (const char* file : {"taesd_encoder.pth", kBoth})
      expect_near(TinyEncoder(state_of(file, TinyHalf::kEncoder)).encode(golden("picture")),
                  golden("encoded"));
  }
}

// What is given stays as it was: the chain works in its own memory.
TEST(TinyAutoencoder, LeavesItsInputAlone) {
  const at::NoGradGuard no_grad;
  const at::Tensor latent = golden("latent");
  TinyDecoder(state_of("taesd_decoder.pth", TinyHalf::kDecoder)).decode(latent);
  EXPECT_TRUE(latent.equal(golden("latent")));
}

// A picture that continues at the opposite edge decodes to the same when its latent is moved around.
TEST(TinyAutoencoder, WrapsAroundWhenAsked) {
  const at::NoGradGuard no_grad;
  TinyDecoder decoder(state_of("taesd_decoder.pth", TinyHalf::kDecoder));
  decoder.chain.policy().wraps_around = true;
  const at::Tensor latent = golden("latent").narrow(0, 0, 1);
  expect_near(decoder.decode(latent.roll({2, 1}, {2, 3})), decoder.decode(latent).roll({16, 8}, {2, 3}));
}

TEST(TinyAutoencoder, ReadsItsShapeFromTheParameters) {
  const TinyDecoder decoder(state_of("taesd_decoder.pth", TinyHalf::kDecoder));
  EXPECT_EQ(decoder.chain.inputs(), 4);
  EXPECT_EQ(decoder.chain.outputs(), 3);
  EXPECT_EQ(decoder.chain.resampling(), 8);
  const TinyEncoder encoder(state_of("taesd_encoder.pth", TinyHalf::kEncoder));
  EXPECT_EQ(encoder.chain.inputs(), 3);
  EXPECT_EQ(encoder.chain.outputs(), 4);
  EXPECT_EQ(encoder.chain.resampling(), 8);
}

// Every module left out, and every weight of a wrong width, is refused instead of read past.
TEST(TinyAutoencoder, RefusesChainsWithGaps) {
  for (const TinyHalf half : {TinyHalf::kDecoder, TinyHalf::kEncoder}) {
    const tensor::StateDict whole = state_of(kBoth, half);
    const auto refused = [&](const tensor::StateDict& state) {
      try {
        half == TinyHalf::kDecoder ? (void)TinyDecoder(state) : (void)TinyEncoder(state);
        return false;
      } catch (const Error& error) {
        return error.code() == kBadInput;
      }
    };
    EXPECT_FALSE(refused(whole));
    EXPECT_TRUE(refused({}));
    for (const auto& [name, value] : whole) {
      if (!name.ends_with("weight")) continue;
      tensor::StateDict lacking = whole, narrow = whole;
      lacking.erase(name);
      narrow[name] = value.narrow(1, 0, value.size(1) - 1);
      EXPECT_TRUE(refused(lacking)) << name;
      // How many channels latents have is for the checkpoint to say.
      if (half == TinyHalf::kDecoder && name == "1.weight") continue;
      EXPECT_TRUE(refused(narrow)) << name;
    }
  }
}

}  // namespace
}  // namespace lowrank::model
