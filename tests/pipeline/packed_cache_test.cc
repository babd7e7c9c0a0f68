// Packed weights kept on disk: found again, refused when they are not what they must be, bounded.
#include "pipeline/resident/packed_cache.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <chrono>
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

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

// Of the packed files that this process has mapped, in kilobytes.
std::int64_t resident_kilobytes(const fs::path& folder) {
  std::ifstream maps("/proc/self/smaps");
  std::int64_t sum = 0;
  bool is_ours = false;
  for (std::string line; std::getline(maps, line);) {
    if (line.find(" r") != std::string::npos && line.find('-') < line.find(' '))
      is_ours = line.find(folder.string() + "/") != std::string::npos;
    else if (is_ours && line.starts_with("Rss:"))
      sum += std::stoll(line.substr(4));
  }
  return sum;
}

// Else the components packed before the U-Net would lie in memory beside it.
TEST_F(PackedCache, WhatWasPackedLeavesTheProcessUntilItIsUsed) {
  pipeline::PackedCache cache({.folder = folder_, .least_bytes = 0});
  auto loaded = pipeline::load_model(testing::tiny_folder() / "sd15-tiny.safetensors");
  loaded.prepare(cache);
  ASSERT_EQ(loaded.kept.size(), kFiles);
  EXPECT_EQ(resident_kilobytes(folder_), 0);
  const at::NoGradGuard no_grad;
  loaded.text_encoders.front()->encode(at::zeros({1, 77}, at::kLong));
  EXPECT_GT(resident_kilobytes(folder_), 0);
}

std::vector<std::string> notes_of(pipeline::PackedFolder& folder, std::string_view model, std::int64_t wanted,
                                  bool fits) {
  folder.begin_model(model);
  EXPECT_EQ(folder.make_room(wanted), fits);
  return folder.take_notes();
}

// Sparse: as long as a checkpoint's, and without blocks.
void write_old(const fs::path& file, std::int64_t bytes) {
  fs::create_directories(file.parent_path());
  { std::ofstream(file) << "x"; }
  fs::resize_file(file, static_cast<std::uintmax_t>(bytes));
  fs::last_write_time(file, fs::file_time_type::clock::now() - std::chrono::hours(1));
}

TEST_F(PackedCache, HoldsHalfOfWhatTheDiskHasFreeUnlessToldOtherwise) {
  fs::create_directories(folder_);
  const auto quarter = static_cast<std::int64_t>(fs::space(folder_).available / 4);
  write_old(folder_ / "1234-first.packed", quarter);
  pipeline::PackedFolder folder(folder_, std::nullopt);
  EXPECT_TRUE(notes_of(folder, "second", quarter, true).empty());  // both have room
  EXPECT_TRUE(fs::exists(folder_ / "1234-first.packed"));
  const auto notes = notes_of(folder, "second", 2 * quarter, true);
  EXPECT_FALSE(fs::exists(folder_ / "1234-first.packed"));
  ASSERT_EQ(notes.size(), 1u);
  EXPECT_NE(notes[0].find("of first ("), std::string::npos) << notes[0];
  EXPECT_NE(notes[0].find("half of what its disk has free"), std::string::npos) << notes[0];
}

TEST_F(PackedCache, AModelsOwnFilesDoNotGoForOneAnother) {
  pipeline::PackedFolder folder(folder_, 100);
  folder.begin_model("large");
  write_old(folder_ / "1-old.packed", 30);
  write_old(folder_ / "2-large.packed", 60);
  folder.touch(folder_ / "2-large.packed");
  EXPECT_FALSE(folder.make_room(50));
  EXPECT_TRUE(fs::exists(folder_ / "2-large.packed"));
  EXPECT_TRUE(fs::exists(folder_ / "1-old.packed"));
  const auto notes = folder.take_notes();
  ASSERT_EQ(notes.size(), 1u);
  EXPECT_NE(notes[0].find("of large are not kept"), std::string::npos) << notes[0];
  EXPECT_TRUE(folder.make_room(40));
  EXPECT_FALSE(fs::exists(folder_ / "1-old.packed"));
}

TEST_F(PackedCache, WhatWasDroppedIsToldWithThePicture) {
  picture();
  std::int64_t all = 0;
  for (const auto& file : files()) {
    all += static_cast<std::int64_t>(fs::file_size(file));
    fs::remove(file);
  }
  write_old(folder_ / "0-unused checkpoint.packed", 1000);
  pipeline::Session session =
      testing::tiny_session(2, {.folder = folder_, .limit_bytes = all, .least_bytes = 0});
  const auto warnings = session.generate(testing::tiny_request()).warnings;
  ASSERT_EQ(warnings.size(), 1u);
  EXPECT_NE(warnings[0].find("of unused checkpoint ("), std::string::npos) << warnings[0];
  EXPECT_TRUE(session.generate(testing::tiny_request()).warnings.empty());
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
