#include "tensor/state_dict.h"

#include <ATen/ATen.h>
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <vector>

#include "weights/tensor_file.h"

namespace lowrank::tensor {
namespace {

using weights::DType;

// The bits of 16-bit floats read as integers would be weights of any size: a tensor of them must not pass for floats.
TEST(AsTensor, UnsignedIntegersAreIntegers) {
  const std::vector<std::uint16_t> half = {0x3C00, 0xFFFF};
  const std::vector<std::uint32_t> word = {0xFFFFFFFF};
  const weights::TensorView views[] = {
      {.name = "a", .dtype = DType::kU16, .shape = {2}, .bytes = std::as_bytes(std::span(half))},
      {.name = "b", .dtype = DType::kU32, .shape = {1}, .bytes = std::as_bytes(std::span(word))}};
  for (const auto& view : views) EXPECT_FALSE(as_tensor(view, nullptr).is_floating_point()) << view.name;
  EXPECT_EQ(as_tensor(views[0], nullptr)[0].item<std::int64_t>(), 0x3C00);
  EXPECT_EQ(as_tensor(views[0], nullptr)[1].item<std::int64_t>(), 0xFFFF);
  EXPECT_EQ(as_tensor(views[1], nullptr)[0].item<std::int64_t>(), 0xFFFFFFFF);
}

// Truth: what ComfyUI, sdnq and torch make of the same numbers (tools/fixtures/make_scaled_numbers.py).
TEST(AsTensor, ScaledNumbersAreMultiplied) {
  const auto file = weights::TensorFile::open(std::filesystem::path(LOWRANK_TEST_FIXTURES) /
                                              "safetensors/scaled.safetensors");
  for (const char* name : {"comfy.old.weight", "comfy.bytes.weight", "sdnq.transposed.linear.weight",
                           "sdnq.groups.conv3.weight", "lora_unet_b.lora_down.weight"}) {
    const at::Tensor ours = as_tensor(*file->find(name), file);
    const at::Tensor truth = as_tensor(*file->find(fmt::format("expected.{}", name)), file);
    EXPECT_EQ(ours.scalar_type(), at::kFloat) << name;
    EXPECT_TRUE(ours.equal(truth)) << name;
  }
}

}  // namespace
}  // namespace lowrank::tensor
