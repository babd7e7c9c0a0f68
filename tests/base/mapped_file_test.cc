#include "base/mapped_file.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <numeric>
#include <thread>

#include "base/atomic_file.h"
#include "base/error.h"
#include "base/sha256.h"
#include "support/temporary_folder.h"

namespace lowrank {
namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;
using testing::TemporaryFolder;

constexpr std::size_t kPage = 4096;

fs::path write_bytes(const fs::path& path, std::size_t size, char letter = 'x') {
  std::ofstream(path, std::ios::binary) << std::string(size, letter);
  return path;
}

template <typename Action>
std::string error_of(Action&& action) {
  try {
    action();
  } catch (const Error& error) {
    return error.what();
  }
  return "";
}

// Times as another file has them, as `cp -p` and `touch -r` set them.
void copy_times(const fs::path& path, const struct stat& from) {
  const timespec times[] = {from.st_atim, from.st_mtim};
  ASSERT_EQ(::utimensat(AT_FDCWD, path.c_str(), times, 0), 0);
}

TEST(MappedFile, WhatAShrunkFileLostReadsAsZerosAndIsTold) {
  const TemporaryFolder folder;
  const auto file = MappedFile::open(write_bytes(folder.path() / "model", 8 * kPage));
  const auto other = MappedFile::open(write_bytes(folder.path() / "other", 8 * kPage));
  EXPECT_TRUE(file->is_current());
  fs::resize_file(file->path(), 2 * kPage);
  const auto count = [](const MappedFile& mapped) {
    return std::count(mapped.bytes().begin(), mapped.bytes().end(), std::byte{'x'});
  };
  EXPECT_EQ(count(*file), static_cast<long>(2 * kPage));
  EXPECT_EQ(count(*other), static_cast<long>(8 * kPage));
  EXPECT_TRUE(file->is_damaged());
  EXPECT_FALSE(other->is_damaged());
  EXPECT_FALSE(file->is_current());
  EXPECT_THAT(error_of([&] { file->require_unchanged(); }), HasSubstr("changed while it was in use"));
  EXPECT_EQ(error_of([&] { other->require_unchanged(); }), "");
}

TEST(MappedFile, ManyThreadsMeetTheSameLoss) {
  const TemporaryFolder folder;
  const auto file = MappedFile::open(write_bytes(folder.path() / "model", 256 * kPage));
  fs::resize_file(file->path(), 0);
  std::vector<std::jthread> threads;
  for (int t = 0; t < 8; ++t)
    threads.emplace_back([&, t] {
      for (std::size_t i = static_cast<std::size_t>(t); i < 256; i += 8)
        EXPECT_EQ(file->bytes()[i * kPage], std::byte{0});
    });
  threads.clear();
  EXPECT_TRUE(file->is_damaged());
}

TEST(MappedFile, AFileOfTheSameSizeAndDateIsAnotherOne) {
  const TemporaryFolder folder;
  const fs::path path = write_bytes(folder.path() / "model", kPage);
  struct stat before {};
  ASSERT_EQ(::stat(path.c_str(), &before), 0);
  const auto file = MappedFile::open(path);
  // By renaming: the mapped file lives on, but is not what lies there.
  copy_times(write_bytes(folder.path() / "new", kPage, 'y'), before);
  fs::rename(folder.path() / "new", path);
  EXPECT_FALSE(file->is_current());
  EXPECT_EQ(error_of([&] { file->require_unchanged(); }), "");
  EXPECT_EQ(file->bytes()[0], std::byte{'x'});
  // By writing into it.
  const auto second = MappedFile::open(path);
  std::fstream(path, std::ios::in | std::ios::out | std::ios::binary) << std::string(kPage, 'z');
  copy_times(path, before);
  EXPECT_FALSE(second->is_current());
  EXPECT_THAT(error_of([&] { second->require_unchanged(); }), HasSubstr("changed while it was in use"));
}

// Opening a pipe for reading waits until somebody writes.
TEST(MappedFile, WhatIsNoRegularFileIsRefusedWithoutWaiting) {
  const TemporaryFolder folder;
  const fs::path pipe = folder.path() / "pipe";
  ASSERT_EQ(::mkfifo(pipe.c_str(), 0600), 0);
  for (const fs::path& path : {pipe, folder.path(), fs::path("/dev/null")}) {
    EXPECT_THAT(error_of([&] { MappedFile::open(path); }), HasSubstr("not a regular file"));
    EXPECT_THAT(error_of([&] { read_file(path); }), HasSubstr("not a regular file"));
    EXPECT_THAT(error_of([&] { sha256_file_hex(path); }), HasSubstr("not a regular file"));
  }
  EXPECT_THAT(error_of([&] { MappedFile::open(folder.path() / "nothing"); }), HasSubstr("no such file"));
}

}  // namespace
}  // namespace lowrank
