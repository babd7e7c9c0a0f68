// Packed weights kept on disk: found again, refused when they are not what they must be, bounded.
#include "pipeline/packed_cache.h"

#include <gtest/gtest.h>

#include <chrono>
#include <filesystem>
#include <fstream>

#include "pipeline/tiny_session.h"

namespace lowrank {
namespace {

namespace fs = std::filesystem;
using pipeline::PackedCacheOptions;

class PackedCache : public ::testing::Test {
 protected:
  void SetUp() override {
    folder_ = fs::path(::testing::TempDir()) /
              ("packed-" + std::string(::testing::UnitTest::GetInstance()->current_test_info()->name()));
    fs::remove_all(folder_);
  }
  void TearDown() override { fs::remove_all(folder_); }

  image::Picture picture(std::int64_t limit = std::int64_t{1} << 30) {
    pipeline::Session session =
        testing::tiny_session(2, {.folder = folder_, .limit_bytes = limit, .least_bytes = 0});
    return session.generate(testing::tiny_request()).pictures.at(0).picture;
  }
  std::vector<fs::path> files() const {
    std::vector<fs::path> all;
    std::error_code failure;
    for (const auto& entry : fs::directory_iterator(folder_, failure)) all.push_back(entry.path());
    return all;
  }

  fs::path folder_;
};

TEST_F(PackedCache, TheSecondStartMakesTheSamePicture) {
  const image::Picture without = picture(0);
  EXPECT_TRUE(files().empty());
  EXPECT_EQ(picture(), without);
  ASSERT_EQ(files().size(), 1u);
  const auto made = fs::last_write_time(files().front()) - std::chrono::hours(1);
  fs::last_write_time(files().front(), made);
  EXPECT_EQ(picture(), without);
  ASSERT_EQ(files().size(), 1u);
  EXPECT_GT(fs::last_write_time(files().front()), made);  // its use is noted
}

TEST_F(PackedCache, WhatIsNotWhatItMustBeIsMadeAnew) {
  const image::Picture right = picture();
  const fs::path file = files().at(0);
  const auto size = fs::file_size(file);
  fs::resize_file(file, size / 2);
  EXPECT_EQ(picture(), right);
  EXPECT_EQ(fs::file_size(file), size);
  { std::ofstream(file, std::ios::in | std::ios::out | std::ios::binary) << "Something else"; }
  EXPECT_EQ(picture(), right);
  std::string begin(7, ' ');
  std::ifstream(file, std::ios::binary).read(begin.data(), 7);
  EXPECT_EQ(begin, "LowRank");
}

TEST_F(PackedCache, TheLeastRecentlyUsedGoes) {
  picture();
  const fs::path real = files().at(0), old = folder_ / "old.packed", young = folder_ / "young.packed";
  const auto size = static_cast<std::int64_t>(fs::file_size(real));
  fs::copy_file(real, old);
  fs::copy_file(real, young);
  fs::last_write_time(old, fs::file_time_type::clock::now() - std::chrono::hours(3));
  fs::remove(real);
  picture(2 * size);
  EXPECT_FALSE(fs::exists(old));
  EXPECT_TRUE(fs::exists(young));
  EXPECT_TRUE(fs::exists(real));
}

TEST_F(PackedCache, AFolderThatCannotBeWrittenIsDoneWithout) {
  const image::Picture right = picture(0);
  { std::ofstream(folder_.string()) << "a file where the folder should be"; }
  EXPECT_EQ(picture(), right);
}

}  // namespace
}  // namespace lowrank
