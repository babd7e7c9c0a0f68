#include "training/data/set_report.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <numbers>
#include <set>

#include "base/progress.h"
#include "base/text/text.h"
#include "image/codec/codec.h"
#include "prompt/tokens/tokenizer.h"

namespace lowrank::training {
namespace {

constexpr int kHashSide = 32, kHashFrequencies = 8;

// ITU-R 601-2 luminance, float32 [H, W].
at::Tensor luminance(const image::Picture& picture) {
  const at::Tensor rgb = at::from_blob(const_cast<std::uint8_t*>(picture.rgb.data()),
                                       {picture.height, picture.width, 3}, at::kByte)
                             .to(at::kFloat);
  return rgb.select(2, 0) * 0.299 + rgb.select(2, 1) * 0.587 + rgb.select(2, 2) * 0.114;
}

// The lowest frequencies of the cosine transform along one axis, float32 [frequencies, side].
at::Tensor cosines() {
  at::Tensor rows = at::empty({kHashFrequencies, kHashSide});
  for (int k = 0; k < kHashFrequencies; ++k)
    for (int n = 0; n < kHashSide; ++n)
      rows[k][n] = std::cos(std::numbers::pi * k * (2 * n + 1) / (2.0 * kHashSide));
  return rows;
}

image::Picture mirrored(const image::Picture& picture) {
  image::Picture other = picture;
  for (int y = 0; y < picture.height; ++y)
    for (int x = 0; x < picture.width; ++x)
      std::copy_n(picture.pixel(picture.width - 1 - x, y), 3, other.pixel(x, y));
  return other;
}

struct Hashes {
  std::uint64_t plain = 0, mirrored = 0;
};

void find_alike(const Dataset& data, const std::vector<Hashes>& hashes, SetReport& report) {
  for (std::size_t a = 0; a < hashes.size(); ++a)
    for (std::size_t b = a + 1; b < hashes.size(); ++b) {
      SetReport::Pair pair{a, b, std::popcount(hashes[a].plain ^ hashes[b].plain)};
      pair.is_same = data.examples()[a].content == data.examples()[b].content;
      const int turned = std::popcount(hashes[a].plain ^ hashes[b].mirrored);
      if (!pair.is_same && pair.bits > kAlikeBits && turned <= kAlikeBits) {
        pair.is_mirrored = true;
        pair.bits = turned;
      }
      if (pair.is_same || pair.bits <= kAlikeBits) report.alike.push_back(pair);
    }
}

void count_captions(const Dataset& data, int max_token_length, SetReport& report) {
  const prompt::Tokenizer tokenizer;
  std::map<std::string, std::int64_t> counts;
  std::int64_t pictures = 0;
  for (std::size_t i = 0; i < data.examples().size(); ++i) {
    const Example& example = data.examples()[i];
    const Subset& subset = data.subset_of(i);
    ++pictures;
    if (example.caption.empty())
      ++report.empty_captions;
    else if (!caption_files(example.picture, subset.plan.caption_extension).empty() ||
             !subset.plan.list.empty())
      ++report.own_captions;
    else
      ++report.trigger_captions;
    const auto tokens = static_cast<std::int64_t>(
        tokenizer.encode(plain_caption(example.caption, subset.plan.captions)).size());
    report.longest_tokens = std::max(report.longest_tokens, tokens);
    if (tokens > max_token_length) report.too_long.push_back({i, tokens});
    std::set<std::string> own;
    for (const auto& tag : caption_tags(example.caption)) own.insert(lower(tag));
    for (const auto& tag : own) ++counts[tag];
  }
  report.tags.assign(counts.begin(), counts.end());
  std::ranges::stable_sort(report.tags, [](const auto& a, const auto& b) { return a.second > b.second; });
  for (const auto& [tag, count] : report.tags)
    if (count == pictures && pictures > 1) report.common_tags.push_back(tag);
}

}  // namespace

std::uint64_t perceptual_hash(const image::Picture& picture) {
  const at::Tensor small = luminance(image::resize(picture, kHashSide, kHashSide));
  const at::Tensor rows = cosines();
  const at::Tensor frequencies = at::matmul(at::matmul(rows, small), rows.t()).contiguous();
  const auto* all = frequencies.data_ptr<float>();
  // The mean brightness is no feature of the picture.
  std::array<float, kHashFrequencies * kHashFrequencies> sorted{};
  std::copy_n(all, sorted.size(), sorted.begin());
  std::sort(sorted.begin() + 1, sorted.end());
  const float median = sorted[sorted.size() / 2];
  std::uint64_t hash = 0;
  // A plain ground has no frequencies but rounding errors.
  for (std::size_t i = 1; i < sorted.size(); ++i)
    if (all[i] > median + 1e-2F) hash |= std::uint64_t{1} << i;
  return hash;
}

double sharpness(const image::Picture& picture) {
  if (picture.width < 3 || picture.height < 3) return 0;
  const at::Tensor grey = luminance(picture);
  const auto inner = [&](std::int64_t down, std::int64_t across) {
    return grey.narrow(0, 1 + down, picture.height - 2).narrow(1, 1 + across, picture.width - 2);
  };
  const at::Tensor laplacian = inner(-1, 0) + inner(1, 0) + inner(0, -1) + inner(0, 1) - 4 * inner(0, 0);
  return laplacian.to(at::kDouble).var(false).item<double>();
}

SetReport report_on(const Dataset& data, int max_token_length,
                    const std::function<void(std::int64_t, std::int64_t)>& progress,
                    const std::stop_token& stop) {
  SetReport report;
  std::vector<Hashes> hashes;
  const auto total = static_cast<std::int64_t>(data.examples().size());
  for (std::size_t i = 0; i < data.examples().size(); ++i) {
    throw_if_stopped(stop);
    const Example& example = data.examples()[i];
    const image::Picture picture = image::load_picture(example.picture);
    hashes.push_back({perceptual_hash(picture), perceptual_hash(mirrored(picture))});
    const PixelSize& fitted = example.place.resized;
    const double scale = static_cast<double>(fitted.width) / static_cast<double>(example.size.width);
    if (scale > 1.001) report.enlarged.emplace_back(i, scale);
    const double sharp =
        sharpness(image::resize(picture, static_cast<int>(fitted.width), static_cast<int>(fitted.height)));
    if (sharp < kBlurred) report.blurred.emplace_back(i, sharp);
    progress(static_cast<std::int64_t>(i + 1), total);
  }
  std::ranges::sort(report.enlarged, [](const auto& a, const auto& b) { return a.second > b.second; });
  std::ranges::sort(report.blurred, [](const auto& a, const auto& b) { return a.second < b.second; });
  find_alike(data, hashes, report);
  count_captions(data, max_token_length, report);
  return report;
}

}  // namespace lowrank::training
