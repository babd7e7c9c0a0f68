// Upscaler models against spandrel and the web UI's tiling (tools/fixtures/make_upscalers.py), in the
// layouts that files come in.
#include <ATen/ATen.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <regex>

#include "base/error.h"
#include "formats/upscaler_file.h"
#include "image/codec/codec.h"
#include "image/resample.h"
#include "pipeline/pictures/upscalers.h"
#include "tensor/state_dict.h"

namespace lowrank {
namespace {

namespace fs = std::filesystem;
using pipeline::Upscalers;
using ::testing::HasSubstr;

const fs::path kFixtures = LOWRANK_TEST_FIXTURES;
constexpr pipeline::UpscalerTiles kWhole{.size = 0, .overlap = 0};

image::Picture source() {
  return image::load_picture(kFixtures / "image/masking/source.png");
}
image::Picture corner() {
  return image::crop(source(), 0, 0, 31, 23);
}

int largest_difference(const image::Picture& a, const image::Picture& b) {
  EXPECT_EQ(a.width, b.width);
  EXPECT_EQ(a.height, b.height);
  int largest = 0;
  for (std::size_t i = 0; i < std::min(a.rgb.size(), b.rgb.size()); ++i)
    largest = std::max(largest, std::abs(a.rgb[i] - b.rgb[i]));
  return largest;
}

class UpscalerModel : public ::testing::Test {
 protected:
  void SetUp() override {
    folder = fs::temp_directory_path() / ("lowrank-upscaler-test-" + std::to_string(getpid()));
    fs::create_directories(folder);
  }
  void TearDown() override { fs::remove_all(folder); }

  // The parameters of a fixture in this program's naming, renamed by `rename`, as a file of the given ending.
  template <typename Rename>
  fs::path renamed(const char* fixture, const std::string& name, const Rename& rename) const {
    const auto opened = formats::open_upscaler(kFixtures / "upscalers" / fixture);
    tensor::StateDict state;
    for (const auto& [key, view] : opened.parameters)
      state.emplace(rename(key), tensor::as_tensor(view, opened.file));
    tensor::save_state_dict((folder / name).string(), state);
    return folder / name;
  }
  // What the model makes of the picture, before anything is resized to multiples of 8.
  static image::Picture run(const fs::path& file, const image::Picture& picture, double scale,
                            const pipeline::UpscalerTiles& tiles = kWhole) {
    Upscalers upscalers([&] { return std::vector<fs::path>{file}; });
    return upscalers.upscale(file.stem().string(), picture, scale, tiles, {});
  }

  fs::path folder;
};

// The sizes are no multiples of 8, so the web UI's Lanczos step follows in both.
image::Picture rounded_down(const image::Picture& picture) {
  return image::resize(picture, picture.width / 8 * 8, picture.height / 8 * 8);
}

TEST_F(UpscalerModel, FourTimesInTheOldLayoutEqualsSpandrel) {
  const auto golden = image::load_picture(kFixtures / "upscalers/old-4x.png");
  EXPECT_LE(largest_difference(run(kFixtures / "upscalers/old-4x.pth", corner(), 4), rounded_down(golden)),
            1);
}

TEST_F(UpscalerModel, TwoTimesWithFoldedPixelsEqualsSpandrel) {
  const auto golden = image::load_picture(kFixtures / "upscalers/real-2x.png");
  EXPECT_LE(largest_difference(run(kFixtures / "upscalers/real-2x.pth", corner(), 2), rounded_down(golden)),
            1);
}

TEST_F(UpscalerModel, TheCompactFormEqualsSpandrel) {
  const auto golden = image::load_picture(kFixtures / "upscalers/compact-4x.png");
  EXPECT_LE(
      largest_difference(run(kFixtures / "upscalers/compact-4x.pth", corner(), 4), rounded_down(golden)), 1);
  const auto lacking = renamed("compact-4x.pth", "lacking.safetensors", [](const std::string& key) {
    return key == "body.3.weight" ? std::string("other") : key;
  });
  EXPECT_THROW(run(lacking, corner(), 4), Error);
}

TEST_F(UpscalerModel, TilesFadeIntoEachOtherAsInTheWebUi) {
  for (const auto& [tile, overlap] : {std::pair(24, 8), {20, 0}, {32, 5}}) {
    const auto golden = image::load_picture(
        kFixtures / "upscalers" / ("tiles-" + std::to_string(tile) + "-" + std::to_string(overlap) + ".png"));
    const auto ours =
        run(kFixtures / "upscalers/real-2x.pth", source(), 2, {.size = tile, .overlap = overlap});
    EXPECT_LE(largest_difference(ours, rounded_down(golden)), 1) << tile << " " << overlap;
  }
}

TEST_F(UpscalerModel, AllNamingsMeanTheSameLayers) {
  const auto same = [](const std::string& key) { return key; };
  const auto bsrgan = [](std::string key) {
    key = std::regex_replace(key, std::regex(R"(^body\.(\d+)\.rdb)"), "RRDB_trunk.$1.RDB");
    key = std::regex_replace(key, std::regex("^conv_body"), "trunk_conv");
    key = std::regex_replace(key, std::regex("^conv_up"), "upconv");
    return std::regex_replace(key, std::regex("^conv_hr"), "HRconv");
  };
  const auto rooted = [](const std::string& key) { return "params_ema." + key; };
  const auto expected = run(kFixtures / "upscalers/old-4x.pth", corner(), 4);
  EXPECT_EQ(run(renamed("old-4x.pth", "real.safetensors", same), corner(), 4), expected);
  EXPECT_EQ(run(renamed("old-4x.pth", "bsrgan.safetensors", bsrgan), corner(), 4), expected);
  EXPECT_EQ(run(renamed("old-4x.pth", "rooted.safetensors", rooted), corner(), 4), expected);
}

TEST_F(UpscalerModel, WhatIsNoUpscalerIsRefusedByName) {
  const auto lacking = renamed("old-4x.pth", "lacking.safetensors", [](const std::string& key) {
    return key.starts_with("conv_body") ? "other" + key : key;
  });
  EXPECT_THROW(
      {
        try {
          run(lacking, corner(), 4);
        } catch (const Error& error) {
          EXPECT_THAT(error.what(), HasSubstr("lacking.safetensors"));
          EXPECT_THAT(error.what(), HasSubstr("conv_body.weight"));
          throw;
        }
      },
      Error);
  const auto misshapen = renamed("old-4x.pth", "misshapen.safetensors", [](const std::string& key) {
    return key == "body.0.rdb2.conv3.bias" ? std::string("extra") : key;
  });
  EXPECT_THROW(run(misshapen, corner(), 4), Error);
}

TEST_F(UpscalerModel, AStopIsHeardBetweenTiles) {
  std::stop_source source_;
  source_.request_stop();
  Upscalers upscalers([] { return std::vector<fs::path>{kFixtures / "upscalers/real-2x.pth"}; });
  EXPECT_THROW(upscalers.upscale("real-2x", source(), 2, {.size = 24, .overlap = 8}, source_.get_token()),
               Error);
}

TEST(Upscalers, AMissingOneIsNamedBesideThoseThatThereAre) {
  Upscalers upscalers([] { return std::vector<fs::path>{"models/ESRGAN/4x-Foo.pth"}; });
  EXPECT_EQ(upscalers.names(), (std::vector<std::string>{"None", "Lanczos", "Nearest", "4x-Foo"}));
  try {
    upscalers.check("4x-Bar");
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), kNotFound);
    EXPECT_THAT(error.what(), HasSubstr("4x-Foo"));
  }
}

// Pillow's Lanczos by way of A1111's Upscaler: to multiples of 8 first, then to the size asked for.
TEST(Upscalers, LanczosGoesByWayOfMultiplesOfEight) {
  Upscalers upscalers({});
  const auto picture = source();
  // The larger of the two scales counts: 97/57 makes 97x76 of 57x45, of which 96x72 is kept.
  const auto by_hand = image::resize(image::resize(image::resize(picture, 97, 76), 96, 72), 97, 76);
  EXPECT_EQ(upscalers.enlarge("Lanczos", picture, 97, 76, {}, {}), by_hand);
  EXPECT_EQ(upscalers.enlarge("Lanczos", picture, 30, 20, {}, {}), image::resize(picture, 30, 20));
}

}  // namespace
}  // namespace lowrank
