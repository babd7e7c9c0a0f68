#include "weights/scaled_numbers.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "weights/crafted.h"
#include "weights/tensor_file.h"

namespace lowrank::weights {
namespace {

constexpr std::string_view kExpected = "expected.";

// Every form, each beside what the program that writes it makes of its own numbers (tools/fixtures/make_scaled_numbers.py).
TEST(ScaledNumbers, AreWhatTheirOwnProgramsMakeOfThem) {
  const auto file = TensorFile::open(fixture("safetensors/scaled.safetensors"));
  int compared = 0;
  for (const TensorView& truth : file->tensors()) {
    if (!truth.name.starts_with(kExpected)) continue;
    const std::string name = truth.name.substr(kExpected.size());
    const TensorView* view = file->find(name);
    ASSERT_NE(view, nullptr) << name;
    ASSERT_NE(view->scaling, nullptr) << name;
    EXPECT_EQ(view->shape, truth.shape) << name;
    const auto ours = to_floats(*view), expected = to_floats(truth);
    ASSERT_EQ(ours.size(), expected.size()) << name;
    for (std::size_t i = 0; i < ours.size(); ++i) ASSERT_EQ(ours[i], expected[i]) << name << " " << i;
    ++compared;
  }
  EXPECT_EQ(compared, 36);
}

TEST(ScaledNumbers, TakeTheirScalesAndMarksAlong) {
  const auto file = TensorFile::open(fixture("safetensors/scaled.safetensors"));
  for (const TensorView& view : file->tensors())
    EXPECT_TRUE(view.name.starts_with(kExpected) || view.scaling != nullptr) << view.name << " stands alone";
  for (const char* key :
       {"scaled_fp8", "comfy.old.scale_weight", "comfy.old.scale_input", "comfy.new.comfy_quant",
        "comfy.new.input_scale", "sdnq.plain.linear.scale", "lora_unet_a.lora_down.scale_weight"}) {
    EXPECT_EQ(file->find(key), nullptr) << key;
    EXPECT_TRUE(file->holds(key)) << key;
  }
  ASSERT_EQ(file->notes().size(), 1u);
  EXPECT_THAT(file->notes()[0], ::testing::HasSubstr("36 tensors are stored with scales"));
}

std::vector<TensorView> views(std::initializer_list<std::pair<const char*, DType>> named) {
  static const std::vector<std::byte> kBytes(64);
  std::vector<TensorView> made;
  for (const auto& [name, dtype] : named) {
    made.push_back({.name = name, .dtype = dtype, .shape = {2, 2}, .bytes = {}});
    made.back().bytes = std::span(kBytes).first(4 * item_size(dtype));
  }
  return made;
}

// A scale that does not belong to the numbers beside it would spoil them.
TEST(ScaledNumbers, LeaveAloneWhatNeedsMoreThanAProduct) {
  for (const auto& tensors : {
           views({{"a.weight", DType::kU8}, {"a.scale", DType::kF32}, {"a.zero_point", DType::kF32}}),
           views({{"a.weight", DType::kI8}, {"a.scale", DType::kF32}, {"a.svd_up", DType::kF32}}),
           views({{"a.weight", DType::kU8},
                  {"a.weight_scale", DType::kF8E4M3},
                  {"a.weight_scale_2", DType::kF32}}),
           views({{"a.lora_down.weight", DType::kF16}, {"a.scale", DType::kF32}}),  // a LoRA's own scale
           views({{"a.dora_scale", DType::kF32}, {"a.lora_up.weight", DType::kF16}}),
           views({{"logit_scale", DType::kF32}}),
       }) {
    auto kept = tensors;
    std::vector<std::string> notes;
    EXPECT_TRUE(apply_scales(kept, notes).empty());
    ASSERT_EQ(kept.size(), tensors.size());
    for (const TensorView& view : kept) EXPECT_EQ(view.scaling, nullptr) << view.name;
    EXPECT_TRUE(notes.empty());
  }
}

}  // namespace
}  // namespace lowrank::weights
