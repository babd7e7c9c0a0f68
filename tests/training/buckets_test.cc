// Bucket rules against an independent computation: kohya's rules written down again with sets, real numbers
// and a full search.
#include "training/data/buckets.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <random>
#include <set>

#include "base/error.h"

namespace lowrank::training {
namespace {

// For each pair of multiples within the limits: is it the tallest for its width (or widest for its height)?
std::set<PixelSize> sizes_by_search(PixelSize resolution, BucketLimits limits) {
  const std::int64_t area = resolution.width * resolution.height;
  std::set<PixelSize> found;
  const auto fits = [&](std::int64_t w, std::int64_t h) { return w * h <= area && h <= limits.max_side; };
  for (std::int64_t w = limits.min_side; w <= limits.max_side; w += limits.step)
    for (std::int64_t h = limits.step; h <= limits.max_side; h += limits.step)
      if (h >= limits.min_side && fits(w, h) && !fits(w, h + limits.step)) {
        found.insert({w, h});
        found.insert({h, w});
      }
  std::int64_t square = 0;
  while ((square + limits.step) * (square + limits.step) <= area) square += limits.step;
  if (square > 0) found.insert({square, square});
  return found;
}

TEST(Buckets, SizesEqualAFullSearch) {
  for (const PixelSize resolution :
       {PixelSize{512, 512}, {768, 512}, {128, 128}, {64, 64}, {136, 96}, {1024, 1024}}) {
    const BucketLimits limits = bucket_limits({.resolution = resolution});
    const auto ours = bucket_sizes(resolution, limits);
    const auto expected = sizes_by_search(resolution, limits);
    EXPECT_EQ(std::set<PixelSize>(ours.begin(), ours.end()), expected)
        << resolution.width << "x" << resolution.height;
    EXPECT_TRUE(std::is_sorted(ours.begin(), ours.end()));
  }
}

TEST(Buckets, SizesFor512AreKohyas) {
  // As published for 512, 256…1024, step 64 (kohya's make_bucket_resolutions).
  const std::vector<PixelSize> expected = {{256, 832}, {256, 896}, {256, 960}, {256, 1024}, {320, 704},
                                           {320, 768}, {384, 640}, {448, 576}, {512, 512},  {576, 448},
                                           {640, 384}, {704, 320}, {768, 320}, {832, 256},  {896, 256},
                                           {960, 256}, {1024, 256}};
  EXPECT_EQ(bucket_sizes({512, 512}, {256, 1024, 64}), expected);
}

TEST(Buckets, LimitsShrinkWithTheModel) {
  const BucketLimits large = bucket_limits({.resolution = {512, 512}}),
                     small = bucket_limits({.resolution = {128, 128}}),
                     tiny = bucket_limits({.resolution = {64, 64}});
  EXPECT_EQ(std::tie(large.min_side, large.max_side, large.step), std::make_tuple(256, 1024, 64));
  EXPECT_EQ(std::tie(small.min_side, small.max_side, small.step), std::make_tuple(64, 256, 16));
  EXPECT_EQ(std::tie(tiny.min_side, tiny.max_side, tiny.step), std::make_tuple(32, 128, 8));
}

TEST(Buckets, EveryPictureGetsTheNearestAspectRatioAndIsCovered) {
  std::mt19937 random(1);
  for (const PixelSize resolution : {PixelSize{512, 512}, {128, 128}}) {
    const BucketOptions options{.resolution = resolution, .enable = true};
    const BucketChooser chooser(options);
    const auto sizes = sizes_by_search(resolution, chooser.limits());
    for (int i = 0; i < 500; ++i) {
      const PixelSize picture{8 + static_cast<std::int64_t>(random() % 2000),
                              8 + static_cast<std::int64_t>(random() % 2000)};
      const double ratio = static_cast<double>(picture.width) / static_cast<double>(picture.height);
      double best = std::numeric_limits<double>::infinity();
      for (const auto& size : sizes)
        best = std::min(best,
                        std::abs(static_cast<double>(size.width) / static_cast<double>(size.height) - ratio));
      const BucketChoice choice = chooser.choose(picture);
      EXPECT_TRUE(sizes.contains(choice.bucket));
      EXPECT_NEAR(std::abs(choice.aspect_error), best, 1e-12) << picture.width << "x" << picture.height;
      EXPECT_GE(choice.resized.width, choice.bucket.width);
      EXPECT_GE(choice.resized.height, choice.bucket.height);
      // One side fits exactly, so no more is cut away than must be.
      EXPECT_TRUE(choice.resized.width == choice.bucket.width ||
                  choice.resized.height == choice.bucket.height);
    }
  }
}

TEST(Buckets, WithoutBucketsEveryPictureBecomesTheResolution) {
  const BucketChooser chooser({.resolution = {64, 96}});
  const BucketChoice choice = chooser.choose({200, 100});
  EXPECT_EQ(choice.bucket, (PixelSize{64, 96}));
  EXPECT_EQ(choice.resized, (PixelSize{192, 96}));
}

TEST(Buckets, NoUpscaleKeepsSmallPicturesAndShrinksLargeOnes) {
  const BucketChooser chooser({.resolution = {512, 512}, .enable = true, .no_upscale = true});
  const BucketChoice small = chooser.choose({300, 200});
  EXPECT_EQ(small.resized, (PixelSize{300, 200}));
  EXPECT_EQ(small.bucket, (PixelSize{256, 192}));
  // 2000×1000 → 724.08×362.04. By width: 704 → 352 → 320, ratio 2.2; by height: 320 → 640, ratio 2. The
  // second is exact.
  const BucketChoice large = chooser.choose({2000, 1000});
  EXPECT_EQ(large.resized, (PixelSize{640, 320}));
  EXPECT_EQ(large.bucket, (PixelSize{640, 320}));
  EXPECT_THROW(chooser.choose({300, 40}), Error);
}

TEST(Buckets, BadOptionsAreNamed) {
  const auto message = [](const BucketOptions& options) -> std::string {
    try {
      bucket_limits(options);
    } catch (const Error& error) {
      return error.what();
    }
    return "";
  };
  EXPECT_NE(message({.resolution = {500, 512}}).find("--resolution"), std::string::npos);
  EXPECT_NE(message({.resolution = {512, 512}, .step = 12}).find("--bucket-reso-steps"), std::string::npos);
  EXPECT_NE(message({.resolution = {512, 512}, .min_side = 600}).find("--min-bucket-reso"),
            std::string::npos);
  EXPECT_NE(message({.resolution = {512, 512}, .max_side = 500}).find("--max-bucket-reso"),
            std::string::npos);
}

}  // namespace
}  // namespace lowrank::training
