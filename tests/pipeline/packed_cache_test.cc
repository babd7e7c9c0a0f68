// Packed weights kept on disk: found again, refused when they are not what they must be, bounded.
#include "pipeline/resident/packed_cache.h"

#include <gtest/gtest.h>

#include <chrono>
#include <filesystem>
#include <fstream>

#include "pipeline/tiny_session.h"
#include "support/temporary_folder.h"

namespace lowrank {
namespace {

namespace fs = std::filesystem;
using pipeline::PackedCacheOptions;

class PackedCache : public ::testing::Test {
 protected:
  // A file for each component: text encoder, U-Net and VAE.
  static constexpr std::size_t kFiles = 3;

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

  testing::TemporaryFolder temporary_;
  const fs::path folder_ = temporary_.path() / "packed";
};

TEST_F(PackedCache, TheSecondStartMakesTheSamePicture) {
  const image::Picture without = picture(0);
  EXPECT_TRUE(files().empty());
  EXPECT_EQ(picture(), without);
  ASSERT_EQ(files().size(), kFiles);
  const auto before = fs::file_time_type::clock::now() - std::chrono::hours(1);
  for (const auto& file : files()) fs::last_write_time(file, before);
  EXPECT_EQ(picture(), without);
  ASSERT_EQ(files().size(), kFiles);
  for (const auto& file : files()) EXPECT_GT(fs::last_write_time(file), before);  // its use is noted
}

// What rests between its uses is found again: two pictures from one session, by hires fix, with text encoded twice.
TEST_F(PackedCache, ComponentsWorkOnAfterTheyRested) {
  request::GenerationRequest request = testing::tiny_request();
  request.enable_hr = true;
  request.hr_upscaler = "Nearest";
  const auto both = [&](std::int64_t limit) {
    pipeline::Session session =
        testing::tiny_session(2, {.folder = folder_, .limit_bytes = limit, .least_bytes = 0});
    std::vector<image::Picture> pictures = {session.generate(request).pictures.at(0).picture};
    request::GenerationRequest other = request;
    other.prompt = "something else";
    session.generate(other);
    pictures.push_back(session.generate(request).pictures.at(0).picture);
    return pictures;
  };
  const auto without = both(0);
  EXPECT_EQ(without.at(0), without.at(1));
  EXPECT_EQ(both(std::int64_t{1} << 30), without);
}

TEST_F(PackedCache, WhatIsNotWhatItMustBeIsMadeAnew) {
  const image::Picture right = picture();
  for (const fs::path& file : files()) {
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
}

TEST_F(PackedCache, TheLeastRecentlyUsedGoes) {
  picture();
  std::int64_t all = 0;
  for (const auto& file : files()) all += static_cast<std::int64_t>(fs::file_size(file));
  const fs::path real = files().at(0), old = folder_ / "old.packed", young = folder_ / "young.packed";
  fs::copy_file(real, old);
  fs::copy_file(real, young);
  fs::last_write_time(old, fs::file_time_type::clock::now() - std::chrono::hours(3));
  const auto size = static_cast<std::int64_t>(fs::file_size(real));
  fs::remove(real);
  picture(all + size);
  EXPECT_FALSE(fs::exists(old));
  EXPECT_TRUE(fs::exists(young));
  EXPECT_TRUE(fs::exists(real));
}

TEST_F(PackedCache, EightBitsHaveFilesOfTheirOwnAndAreNamedInThePicture) {
  const image::Picture exact = picture();
  const auto in_int8 = [&] {
    pipeline::Session session =
        testing::tiny_session(2, {.folder = folder_, .least_bytes = 0}, /*int8=*/true);
    return session.generate(testing::tiny_request()).pictures.at(0);
  };
  const auto made = in_int8();
  EXPECT_EQ(files().size(), kFiles + 1);
  EXPECT_NE(made.picture, exact);
  EXPECT_NE(made.metadata.find("U-Net weights: int8"), std::string::npos);
  EXPECT_EQ(in_int8().picture, made.picture);
  EXPECT_EQ(picture(), exact);
}

TEST_F(PackedCache, AFolderThatCannotBeWrittenIsDoneWithout) {
  const image::Picture right = picture(0);
  { std::ofstream(folder_.string()) << "a file where the folder should be"; }
  EXPECT_EQ(picture(), right);
}

}  // namespace
}  // namespace lowrank
