#include "weights/tensor_view.h"

#include <gtest/gtest.h>

#include <cmath>

#include "weights/crafted.h"
#include "weights/tensor_file.h"

namespace lowrank::weights {
namespace {

TEST(TensorView, SmallFloatsWidenAsTorchWidensThem) {
  const auto file = TensorFile::open(fixture("safetensors/floats.safetensors"));
  for (const char* name : {"f16", "bf16", "e4m3", "e5m2"}) {
    const auto ours = to_floats(*file->find(name));
    const auto truth = to_floats(*file->find(std::string(name) + ".widened"));
    ASSERT_EQ(ours.size(), truth.size());
    for (std::size_t i = 0; i < ours.size(); ++i) {
      if (std::isnan(truth[i])) {
        EXPECT_TRUE(std::isnan(ours[i])) << name << " " << i;
      } else {
        EXPECT_EQ(ours[i], truth[i]) << name << " " << i;
        EXPECT_EQ(std::signbit(ours[i]), std::signbit(truth[i])) << name << " " << i;
      }
    }
  }
}

TEST(TensorView, FnuzFloatsWidenAsTorchWidensThem) {
  const auto file = TensorFile::open(fixture("safetensors/fnuz.safetensors"));
  for (const char* name : {"e4m3fnuz", "e5m2fnuz"}) {
    ASSERT_NE(file->find(name), nullptr) << name;
    const auto ours = to_floats(*file->find(name));
    const auto truth = to_floats(*file->find(std::string(name) + ".widened"));
    ASSERT_EQ(ours.size(), 256u);
    for (std::size_t i = 0; i < ours.size(); ++i) {
      if (std::isnan(truth[i])) {
        EXPECT_TRUE(std::isnan(ours[i])) << name << " " << i;
      } else {
        EXPECT_EQ(ours[i], truth[i]) << name << " " << i;
      }
    }
  }
}

TEST(TensorView, NamesOfTypesRoundTrip) {
  for (const DType dtype :
       {DType::kBool, DType::kU8, DType::kI8, DType::kI16, DType::kU16, DType::kI32, DType::kU32, DType::kI64,
        DType::kU64, DType::kF8E4M3, DType::kF8E5M2, DType::kF8E4M3Fnuz, DType::kF8E5M2Fnuz, DType::kF16,
        DType::kBF16, DType::kF32, DType::kF64})
    EXPECT_EQ(dtype_from_name(dtype_name(dtype)), dtype);
  EXPECT_EQ(dtype_from_name("f32"), std::nullopt);
}

TEST(TensorView, ShapesPrintAsLists) {
  EXPECT_EQ(shape_text({}), "[]");
  EXPECT_EQ(shape_text({320, 768}), "[320, 768]");
}

TEST(TensorView, CountsStopAt63Bits) {
  EXPECT_EQ(countable_elements(Shape{}), 1u);
  EXPECT_EQ(countable_elements({0, 5}), 0u);
  EXPECT_EQ(countable_elements({1ll << 31, 1ll << 31}), 1ull << 62);
  EXPECT_EQ(countable_elements({1ll << 32, 1ll << 31}), std::nullopt);
  EXPECT_EQ(countable_elements({1ll << 32, 1ll << 31, 0}), std::nullopt);
  EXPECT_EQ(countable_elements({-1}), std::nullopt);
}

}  // namespace
}  // namespace lowrank::weights
