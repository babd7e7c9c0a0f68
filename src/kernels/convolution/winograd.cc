#include "kernels/convolution/winograd.h"

#include <algorithm>
#include <array>

#include "base/error.h"
#include "base/parallel.h"
#include "kernels/buffer.h"
#include "kernels/convolution/winograd_transforms.h"
#include "kernels/cut.h"
#include "kernels/product/epilogue.h"

namespace lowrank::kernels {
namespace {

// Tiles are taken in chunks whose transformed inputs stay in a level-3 cache (at most 16 MB) and are made once, for all
// outputs; a work item is a strip of panels against one chunk, and makes its transformed filters.
constexpr std::int64_t kChunkTiles = 192, kChunkBytes = 16 << 20, kItemPanels = 5;
constexpr std::int64_t kTilesAtOnce = 8;  // transformed by one thread
// Between one frequency and the next: a cache line more than a multiple of 4096, so that the 36 that are
// written or read together do not share the sets of a level-1 cache.
constexpr std::int64_t kOff = 64;
static_assert(kChunkTiles <= kBlockRows && kChunkTiles % 32 == 0);

// What a table says of position i; past the last one the window ends, and what a tile sees there is never used.
std::int64_t look_up(const std::vector<std::int32_t>& positions, std::int64_t i) {
  return i < static_cast<std::int64_t>(positions.size()) ? positions[static_cast<std::size_t>(i)] : -1;
}

// Whether positions come in pairs that see the same pixel, the first pair beginning at position `begin` (−1: only
// its second half is in the table; so it may be at the end).
bool in_pairs(const std::vector<std::int32_t>& positions, std::int64_t begin) {
  for (std::size_t i = static_cast<std::size_t>(begin + 2 * (begin < 0)); i + 1 < positions.size(); i += 2)
    if (positions[i] != positions[i + 1]) return false;
  return true;
}

// One direction of the tiling.
struct Axis {
  std::int64_t tiles = 0, begin = 0, step = 0;  // first output of tile t: begin + t · step

  Axis(WinogradForm form, std::int64_t outputs, const std::vector<std::int32_t>& positions) {
    const std::int64_t pair = form == WinogradForm::kDoubled ? 2 : 1;
    step = pair * sizes_of(form).outputs;
    if (pair == 2 && !in_pairs(positions, 0)) begin = -1;
    tiles = (outputs - begin + step - 1) / step;
  }
};

bool is_doubled(const Window& window) {
  const auto paired = [](const auto& positions) { return in_pairs(positions, 0) || in_pairs(positions, -1); };
  return paired(window.rows) && paired(window.columns);
}

class Convolution {
 public:
  Convolution(WinogradForm form, const Map& map, const Window& window, std::int64_t outputs)
      : form_(form),
        sizes_(sizes_of(form)),
        pair_(form == WinogradForm::kDoubled ? 2 : 1),
        map_(map),
        window_(window),
        outputs_(outputs),
        down_(form, window.out_height, window.rows),
        across_(form, window.out_width, window.columns) {}

  WinogradForm form() const { return form_; }
  const WinogradSizes& sizes() const { return sizes_; }
  std::int64_t tiles() const { return map_.batch * across_.tiles * down_.tiles; }

  // Frequency f of the tile goes to row `row` of left block f; blocks are block_bytes apart.
  void transform_tile(std::int64_t tile, std::int64_t row, std::int64_t from, std::int64_t depth,
                      std::byte* blocks, std::int64_t block_bytes) const {
    const auto [image, y0, x0] = place(tile);
    std::array<std::int64_t, 6> ys, xs;
    for (std::int64_t i = 0; i < sizes_.side; ++i) {
      ys[static_cast<std::size_t>(i)] = seen(window_.rows, y0, i);
      xs[static_cast<std::size_t>(i)] = seen(window_.columns, x0, i);
    }
    std::array<const float*, kMostFrequencies> pixels;
    std::array<float*, kMostFrequencies> to;
    for (std::int64_t i = 0; i < sizes_.frequencies(); ++i) {
      const std::int64_t y = ys[static_cast<std::size_t>(i / sizes_.side)],
                         x = xs[static_cast<std::size_t>(i % sizes_.side)];
      pixels[static_cast<std::size_t>(i)] =
          y < 0 || x < 0 ? nullptr
                         : map_.data + ((image * map_.height + y) * map_.width + x) * map_.channels + from;
      to[static_cast<std::size_t>(i)] = reinterpret_cast<float*>(blocks + i * block_bytes + row * kRowBytes);
    }
    transform_input(form_, pixels.data(), depth, to.data());
  }

  // Of one of the form's filters.
  void finish_tile(std::int64_t tile, std::int64_t filter, const float* sums, std::int64_t frequency_stride,
                   std::int64_t panel, std::int64_t panels, Start start, const Epilogue& epilogue,
                   float* result) const {
    std::array<float, kMostPixels * kItemPanels * kPanel> pixels;
    const std::int64_t width = panels * kPanel, column = panel * kPanel;
    const std::int64_t columns = std::min(width, outputs_ - column);
    transform_output(form_, sums, frequency_stride, width, pixels.data(), width);
    const auto [image, y0, x0] = place(tile);
    for (std::int64_t i = 0; i < sizes_.outputs; ++i) {
      const std::int64_t y = y0 + i * pair_ + filter / 2;
      if (y < 0 || y >= window_.out_height) continue;
      float* const line = pixels.data() + i * sizes_.outputs * width;
      const std::int64_t row = (image * window_.out_height + y) * window_.out_width;
      const auto finish = [&](std::int64_t j, std::int64_t x, std::int64_t rows) {
        for (std::int64_t r = 0; start == Start::kResult && r < rows; ++r)
          add_row(result + (row + x + r) * outputs_ + column, columns, line + (j + r) * width);
        finish_block({.sums = line + j * width,
                      .stride = width,
                      .row = row + x,
                      .rows = rows,
                      .column = column,
                      .columns = columns,
                      .outputs = outputs_},
                     epilogue, result, outputs_);
      };
      if (pair_ == 1) {
        finish(0, x0, std::min(sizes_.outputs, window_.out_width - x0));
        continue;
      }
      for (std::int64_t j = 0; j < sizes_.outputs; ++j) {
        const std::int64_t x = x0 + 2 * j + filter % 2;
        if (x >= 0 && x < window_.out_width) finish(j, x, 1);
      }
    }
  }

 private:
  struct Place {
    std::int64_t image, y, x;  // of a tile's first output
  };
  Place place(std::int64_t tile) const {
    return {tile / (across_.tiles * down_.tiles),
            down_.begin + tile / across_.tiles % down_.tiles * down_.step,
            across_.begin + tile % across_.tiles * across_.step};
  }

  // What number i of the tile whose first output is `first` sees: filter tap 0 of that output is at position
  // `first`. Of a pair the half that is in the table.
  std::int64_t seen(const std::vector<std::int32_t>& positions, std::int64_t first, std::int64_t i) const {
    if (pair_ == 1) return look_up(positions, first + i);
    const std::int64_t second = first + 2 * i + 1;
    return look_up(positions, second < static_cast<std::int64_t>(positions.size()) ? second : second - 1);
  }

  WinogradForm form_;
  WinogradSizes sizes_;
  std::int64_t pair_;
  const Map& map_;
  const Window& window_;
  std::int64_t outputs_;
  Axis down_, across_;
};

// Note [pictures of a batch]: forms round differently, so the form must not follow from the number of pictures: one
// drawn alone equals itself drawn in a batch, byte for byte. Costs are those of two, what guidance makes of one picture.
constexpr std::int64_t kPicturesCounted = 2;

// What an output channel costs, in rows of multiplications. A filter's transform takes as long as some four rows,
// and is made for each chunk of tiles.
std::int64_t cost(WinogradForm form, const Map& map, const Window& window) {
  constexpr std::int64_t kTransform = 4;
  const WinogradSizes sizes = sizes_of(form);
  Map counted = map;
  counted.batch = kPicturesCounted;
  const std::int64_t tiles = Convolution(form, counted, window, 0).tiles();
  const std::int64_t chunks = (tiles + kChunkTiles - 1) / kChunkTiles;
  return sizes.filters * sizes.frequencies() * (tiles + chunks * kTransform);
}

WinogradForm cheapest_form(const Map& map, const Window& window) {
  WinogradForm best = WinogradForm::kFour;
  const auto consider = [&](WinogradForm form) {
    if (cost(form, map, window) < cost(best, map, window)) best = form;
  };
  consider(WinogradForm::kTwo);
  if (is_doubled(window)) consider(WinogradForm::kDoubled);
  return best;
}

}  // namespace

std::optional<WinogradForm> winograd_form(const Map& map, const Window& window, const PackedWeights& weights,
                                          const BlockKernel& kernel) {
  if (!kernel.is_slower_than_winograd || window.kernel_height != 3 || window.kernel_width != 3 ||
      window.stride != 1)
    return {};
  const std::int64_t smallest_tiles =
      kPicturesCounted * ((window.out_height + 1) / 2) * ((window.out_width + 1) / 2);
  if (smallest_tiles < 8 || map.channels < 16 || weights.shape().outputs < 16) return {};
  return cheapest_form(map, window);
}

void winograd(WinogradForm form, const Map& map, const Window& window, const PackedWeights& weights,
              float* result, Start start, const Epilogue& epilogue, int threads) {
  LOWRANK_CHECK(weights.order() == PanelOrder::kPlain && weights.shape().taps == 9 && window.stride == 1 &&
                weights.shape().inputs == map.channels && epilogue.activation != Activation::kGated &&
                (form != WinogradForm::kDoubled || is_doubled(window)));
  const Convolution convolution(form, map, window, weights.shape().outputs);
  const std::int64_t frequencies = convolution.sizes().frequencies(),
                     filters_at_all = convolution.sizes().filters;
  const BlockKernel& kernel = simd_block_kernel();
  const std::int64_t inputs = map.channels;
  const Cut depths = cut(inputs, kBlockDepth, kDepthStep);
  const std::int64_t step = depths.size, steps = depths.count;
  const std::int64_t bytes_of_tile = steps * frequencies * kRowBytes;
  const std::int64_t chunk =
      cut(convolution.tiles(),
          std::clamp(kChunkBytes / bytes_of_tile / 32 * 32, std::int64_t{32}, kChunkTiles), 8)
          .size;
  const std::int64_t block_bytes = round_up(round_up(chunk, 32) * kRowBytes, 4096) + kOff,
                     step_bytes = frequencies * block_bytes;
  std::byte* const lefts = scratch(3, steps * step_bytes);
  const Cut panels_of_strips = cut(weights.panels(), kItemPanels, 1);
  const std::int64_t strip = panels_of_strips.size, strips = panels_of_strips.count;
  for (std::int64_t first = 0; first < convolution.tiles(); first += chunk) {
    const std::int64_t tiles = std::min(chunk, convolution.tiles() - first);
    parallel_for((tiles + kTilesAtOnce - 1) / kTilesAtOnce, threads, [&](std::int64_t item) {
      for (std::int64_t t = item * kTilesAtOnce; t < std::min(tiles, (item + 1) * kTilesAtOnce); ++t)
        for (std::int64_t s = 0; s < steps; ++s)
          convolution.transform_tile(first + t, t, s * step, std::min(step, inputs - s * step),
                                     lefts + s * step_bytes, block_bytes);
    });
    parallel_for(strips * filters_at_all, threads, [&](std::int64_t item) {
      const std::int64_t filter = item % filters_at_all, panel = item / filters_at_all * strip,
                         panels = std::min(strip, weights.panels() - panel);
      const std::int64_t width = panels * kPanel, sums_of_one = round_up(tiles * width, 1024) + kOff / 4;
      const std::int64_t filters_of_one = round_up(panels * panel_bytes(step), 4096) / 4 + kOff / 4;
      float* const filters = reinterpret_cast<float*>(scratch(1, frequencies * filters_of_one * 4));
      float* const sums = reinterpret_cast<float*>(scratch(2, frequencies * (sums_of_one + 32 * width) * 4));
      for (std::int64_t s = 0; s < steps; ++s) {
        const std::int64_t from = s * step, depth = std::min(step, inputs - from);
        const std::int64_t floats = panel_bytes(depth) / 4;
        for (std::int64_t p = 0; p < panels; ++p) {
          transform_panel(form, filter, weights.at(panel + p, from), weights.number(), depth, inputs * kPanel,
                          filters + p * floats, filters_of_one);
        }
        for (std::int64_t f = 0; f < frequencies; ++f) {
          kernel.multiply(lefts + s * step_bytes + f * block_bytes, tiles, filters + f * filters_of_one,
                          panels, depth, sums + f * sums_of_one, width, s > 0);
        }
      }
      for (std::int64_t t = 0; t < tiles; ++t)
        convolution.finish_tile(first + t, filter, sums + t * width, sums_of_one, panel, panels, start,
                                epilogue, result);
    });
  }
}

}  // namespace lowrank::kernels
