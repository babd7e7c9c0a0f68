#include "weights/tensor_file.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "weights/crafted.h"

namespace lowrank::weights {
namespace {

using ::testing::HasSubstr;

TEST(TensorFileOpen, MissingFilesAndFoldersAreNamed) {
  const TemporaryFolder folder;
  EXPECT_THAT(error_of([&] { TensorFile::open(folder.path() / "no.safetensors"); }),
              HasSubstr("no such file"));
  EXPECT_THAT(error_of([&] { TensorFile::open(folder.path()); }), HasSubstr("not a regular file"));
}

TEST(TensorFileOpen, WrongDownloadsAreRecognised) {
  const TemporaryFolder folder;
  const auto refusal = [&](const char* name, const char* text) {
    const auto path = folder.write(name, text);
    return error_of([&] { TensorFile::open(path); });
  };
  EXPECT_THAT(refusal("a.safetensors", "<!DOCTYPE html><html>"), HasSubstr("web page"));
  EXPECT_THAT(refusal("b.ckpt", "version https://git-lfs.github.com/spec/v1\n"),
              HasSubstr("git-lfs pointer"));
  EXPECT_THAT(refusal("c.ckpt", "just a text of some length"), HasSubstr("neither"));
  EXPECT_THAT(refusal("d.safetensors", ""), HasSubstr("truncated"));
  EXPECT_THAT(refusal("e.pt", ""), HasSubstr("neither"));
}

TEST(TensorFileOpen, ContainerIsToldByBytesNotByName) {
  const TemporaryFolder folder;
  // A header of 640 bytes makes the file begin like a pickle of protocol 2.
  std::string header = "{\"a\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[0,1]}}";
  header.resize(640, ' ');
  const auto tricky = folder.write("tricky.pt", safetensors_bytes(header, "x"));
  EXPECT_EQ(TensorFile::open(tricky)->container(), Container::kSafetensors);
  const auto pickle = folder.write("pickle.safetensors", contents_of(fixture("pickle/state.pt")));
  EXPECT_EQ(TensorFile::open(pickle)->container(), Container::kPickle);
}

TEST(TensorFileOpen, ViewsOutliveTheFileOnDisk) {
  const TemporaryFolder folder;
  const auto path = folder.write("x.safetensors", contents_of(fixture("safetensors/types.safetensors")));
  const auto file = TensorFile::open(path);
  std::filesystem::remove(path);
  EXPECT_EQ(to_floats(*file->find("a.float32")), std::vector<float>{1.0f});
}

}  // namespace
}  // namespace lowrank::weights
