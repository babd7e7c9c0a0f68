#include "kernels/product/product.h"

#include <algorithm>

#include "base/error.h"
#include "base/parallel.h"
#include "kernels/buffer.h"
#include "kernels/cut.h"
#include "kernels/product/epilogue.h"

namespace lowrank::kernels {
namespace {

constexpr std::int64_t kBlockBytes = 400 << 10;  // of a right block: stays in a level-2 cache
constexpr std::int64_t kEnoughItems = 16;        // of work, for an even share on a few threads
// Left factors that are not floats as they lie are packed once for all panels, in chunks of rows that stay in a level-3
// cache.
constexpr std::int64_t kChunkBytes = 16 << 20;

Cut depths_of(const Term& term) {
  return cut(term.left->depth(), kBlockDepth, kDepthStep);
}

std::int64_t depth_blocks(std::span<const Term> terms) {
  std::int64_t count = 0;
  for (const Term& term : terms) count += depths_of(term).count;
  return count;
}

// Depth block `index` of all terms, counted one after the other.
void pack_left(std::span<const Term> terms, std::int64_t index, std::int64_t row, std::int64_t rows,
               std::byte* block, const BlockKernel& kernel) {
  for (const Term& term : terms) {
    const Cut depths = depths_of(term);
    if (index < depths.count) {
      const std::int64_t from = index * depths.size;
      term.left->pack(kernel, row, rows, from, std::min(depths.size, term.left->depth() - from), block);
      return;
    }
    index -= depths.count;
  }
}

// sums = Σ left · rightᵀ for some rows and panels. `packed`: the rows' left blocks, `block_bytes` apart; null: they are
// packed here.
void add_terms(std::span<const Term> terms, std::int64_t row, std::int64_t rows, std::int64_t panel,
               std::int64_t panels, const std::byte* packed, std::int64_t block_bytes, float* sums,
               const BlockKernel& kernel) {
  std::byte* const block = packed == nullptr ? scratch(0, block_bytes) : nullptr;
  std::byte* const right = scratch(1, panels * kernel.panel_bytes(kBlockDepth));
  bool add = false;
  for (const Term& term : terms) {
    const Cut depths = depths_of(term);
    for (std::int64_t d = 0; d < depths.count; ++d) {
      const std::int64_t from = d * depths.size, depth = std::min(depths.size, term.left->depth() - from);
      if (packed == nullptr) term.left->pack(kernel, row, rows, from, depth, block);
      for (std::int64_t p = 0; p < panels; ++p)
        kernel.pack_panel(term.right->at(panel + p, from), term.right->number(), depth,
                          right + p * kernel.panel_bytes(depth));
      kernel.multiply(packed == nullptr ? block : packed, rows, right, panels, depth, sums, panels * kPanel,
                      add);
      if (packed != nullptr) packed += block_bytes;
      add = true;
    }
  }
}

}  // namespace

void product(std::span<const Term> terms, std::int64_t rows, float* result, std::int64_t stride,
             const Epilogue& epilogue, int threads, const BlockKernel& kernel) {
  const PackedWeights& first = *terms.front().right;
  for (const Term& term : terms) {
    LOWRANK_CHECK(term.left->depth() == term.right->depth() && term.right->panels() == first.panels() &&
                  term.right->order() == first.order());
  }
  const bool gated = epilogue.activation == Activation::kGated;
  LOWRANK_CHECK(gated == (first.order() == PanelOrder::kGated));
  if (rows == 0) return;
  const Cut down = cut(rows, kBlockRows, 32);
  const std::int64_t most = kBlockBytes / kernel.panel_bytes(kBlockDepth);
  const std::int64_t across = std::clamp<std::int64_t>(first.panels() * down.count / kEnoughItems, 4, most);
  const Cut panels = cut(first.panels(), across, gated ? 2 : 1);
  const std::int64_t columns = gated ? first.shape().outputs / 2 : first.shape().outputs;
  const std::int64_t width = gated ? kPanel / 2 : kPanel;  // of the result, per panel
  const std::int64_t block_bytes = round_up(down.size, 32) * kernel.row_bytes();
  const std::int64_t blocks = depth_blocks(terms);
  const bool packs_once = !kernel.left_is_floats && panels.count > 1;
  const std::int64_t chunk =
      packs_once ? std::clamp<std::int64_t>(kChunkBytes / (blocks * block_bytes), 1, down.count) : down.count;
  std::byte* const lefts = packs_once ? scratch(3, chunk * blocks * block_bytes) : nullptr;
  const auto rows_of = [&](std::int64_t block) { return std::min(down.size, rows - block * down.size); };
  for (std::int64_t begin = 0; begin < down.count; begin += chunk) {
    const std::int64_t count = std::min(chunk, down.count - begin);
    if (packs_once) {
      parallel_for(count * blocks, threads, [&](std::int64_t item) {
        const std::int64_t block = begin + item / blocks;
        pack_left(terms, item % blocks, block * down.size, rows_of(block), lefts + item * block_bytes,
                  kernel);
      });
    }
    parallel_for(count * panels.count, threads, [&](std::int64_t item) {
      const std::int64_t block = item % count, panel = item / count * panels.size;
      const std::int64_t row = (begin + block) * down.size, item_rows = rows_of(begin + block);
      const std::int64_t item_panels = std::min(panels.size, first.panels() - panel);
      float* const sums = reinterpret_cast<float*>(scratch(2, kBlockRows * item_panels * kPanel * 4));
      add_terms(terms, row, item_rows, panel, item_panels,
                packs_once ? lefts + block * blocks * block_bytes : nullptr, block_bytes, sums, kernel);
      const SumBlock done{.sums = sums,
                          .stride = item_panels * kPanel,
                          .row = row,
                          .rows = item_rows,
                          .column = panel * width,
                          .columns = std::min(item_panels * width, columns - panel * width),
                          .outputs = first.shape().outputs};
      finish_block(done, epilogue, result, stride);
    });
  }
}

}  // namespace lowrank::kernels
