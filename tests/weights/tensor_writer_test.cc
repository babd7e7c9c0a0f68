#include "weights/tensor_writer.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>

#include "weights/crafted.h"
#include "weights/tensor_file.h"

namespace lowrank::weights {
namespace {

using ::testing::HasSubstr;

TEST(TensorWriter, EqualsTheReferenceLibraryByteForByte) {
  const auto reference = TensorFile::open(fixture("safetensors/types.safetensors"));
  std::vector<TensorView> tensors(reference->tensors().begin(), reference->tensors().end());
  const TemporaryFolder folder;
  for (int turn = 0; turn < 3; ++turn) {
    std::rotate(tensors.begin(), tensors.begin() + 4, tensors.end());
    write_safetensors(folder.path() / "ours.safetensors", tensors, reference->metadata());
    EXPECT_EQ(contents_of(folder.path() / "ours.safetensors"), contents_of(reference->path()));
  }
}

TEST(TensorWriter, SpecificationExampleHasItsBytes) {
  const std::string data("\x00\x3c\x00\x40", 4);
  const std::vector<TensorView> tensors = {{"a", DType::kF16, {2}, as_bytes(data)}};
  const TemporaryFolder folder;
  write_safetensors(folder.path() / "a.safetensors", tensors);
  EXPECT_EQ(contents_of(folder.path() / "a.safetensors"),
            little<std::uint64_t>(56) + "{\"a\":{\"dtype\":\"F16\",\"shape\":[2],\"data_offsets\":[0,4]}}  " +
                data);
}

TEST(TensorWriter, WhatIsWrittenIsReadBack) {
  const std::string data(24, 'x');
  const std::vector<TensorView> tensors = {{"big", DType::kF32, {2, 3}, as_bytes(data)},
                                           {"scalar", DType::kF16, {}, as_bytes(data).first(2)},
                                           {"none", DType::kI64, {0, 5}, {}}};
  const TemporaryFolder folder;
  const auto path = folder.path() / "sub" / "folder" / "x.safetensors";
  write_safetensors(path, tensors, {{"k", "v"}, {"", "\x01\x7f"}});
  const auto read = TensorFile::open(path);
  EXPECT_EQ(read->metadata(), (std::map<std::string, std::string>{{"k", "v"}, {"", "\x01\x7f"}}));
  ASSERT_EQ(read->tensors().size(), 3u);
  for (const TensorView& view : tensors) {
    const TensorView* found = read->find(view.name);
    ASSERT_NE(found, nullptr);
    EXPECT_EQ(found->shape, view.shape);
    EXPECT_TRUE(std::equal(found->bytes.begin(), found->bytes.end(), view.bytes.begin(), view.bytes.end()));
  }
}

TEST(TensorWriter, WrongByteCountTwinsAndBadTextAreRefusedAndLeaveNoFile) {
  const std::string data(8, 'x');
  const TemporaryFolder folder;
  const auto path = folder.path() / "x.safetensors";
  const auto refusal = [&](std::vector<TensorView> tensors,
                           std::map<std::string, std::string> metadata = {}) {
    return error_of([&] { write_safetensors(path, tensors, metadata); });
  };
  const TensorView good{"a", DType::kF32, {2}, as_bytes(data)};
  EXPECT_THAT(refusal({{"a", DType::kF32, {3}, as_bytes(data)}}), HasSubstr("does not have"));
  EXPECT_THAT(refusal({{"a", DType::kF32, {-2}, as_bytes(data)}}), HasSubstr("does not have"));
  EXPECT_THAT(refusal({good, good}), HasSubstr("two tensors are named 'a'"));
  EXPECT_THAT(refusal({{"__metadata__", DType::kF32, {2}, as_bytes(data)}}), HasSubstr("__metadata__"));
  EXPECT_THAT(refusal({{"\xff", DType::kF32, {2}, as_bytes(data)}}), HasSubstr("UTF-8"));
  EXPECT_THAT(refusal({good}, {{"k", "\xc3"}}), HasSubstr("UTF-8"));
  EXPECT_TRUE(std::filesystem::is_empty(folder.path()));
}

}  // namespace
}  // namespace lowrank::weights
