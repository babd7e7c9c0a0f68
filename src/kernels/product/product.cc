#include "kernels/product/product.h"

#include <algorithm>

#include "base/error.h"
#include "base/parallel.h"
#include "kernels/buffer.h"
#include "kernels/cut.h"
#include "kernels/product/epilogue.h"

namespace lowrank::kernels {
namespace {

constexpr std::int64_t kBlockPanels = 20;  // 320 columns: a right block of 400 KB stays in a level-2 cache
constexpr std::int64_t kEnoughItems = 16;  // of work, for an even share on a few threads

// Adds left · rightᵀ for some rows and panels to sums.
void add_term(const Term& term, std::int64_t row, std::int64_t rows, std::int64_t panel, std::int64_t panels,
              float* sums, std::int64_t stride, bool add, const BlockKernel& kernel) {
  const Cut depths = cut(term.left->depth(), kBlockDepth, kDepthStep);
  std::byte* const left = scratch(0, round_up(kBlockRows, 32) * kRowBytes);
  std::byte* const right = scratch(1, kBlockPanels * panel_bytes(kBlockDepth));
  for (std::int64_t d = 0; d < depths.count; ++d) {
    const std::int64_t from = d * depths.size, depth = std::min(depths.size, term.left->depth() - from);
    term.left->pack(kernel, row, rows, from, depth, left);
    for (std::int64_t p = 0; p < panels; ++p)
      kernel.pack_panel(term.right->at(panel + p, from), term.right->number(), depth,
                        right + p * panel_bytes(depth));
    kernel.multiply(left, rows, right, panels, depth, sums, stride, add || d > 0);
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
  const std::int64_t across =
      std::clamp<std::int64_t>(first.panels() * down.count / kEnoughItems, 4, kBlockPanels);
  const Cut panels = cut(first.panels(), across, gated ? 2 : 1);
  const std::int64_t columns = gated ? first.shape().outputs / 2 : first.shape().outputs;
  parallel_for(down.count * panels.count, threads, [&](std::int64_t item) {
    const std::int64_t row = item % down.count * down.size, panel = item / down.count * panels.size;
    const std::int64_t item_rows = std::min(down.size, rows - row);
    const std::int64_t item_panels = std::min(panels.size, first.panels() - panel);
    float* const sums = reinterpret_cast<float*>(scratch(2, kBlockRows * item_panels * kPanel * 4));
    bool add = false;
    for (const Term& term : terms) {
      add_term(term, row, item_rows, panel, item_panels, sums, item_panels * kPanel, add, kernel);
      add = true;
    }
    const std::int64_t width = gated ? kPanel / 2 : kPanel;  // of the result, per panel
    const SumBlock block{.sums = sums,
                         .stride = item_panels * kPanel,
                         .row = row,
                         .rows = item_rows,
                         .column = panel * width,
                         .columns = std::min(item_panels * width, columns - panel * width),
                         .outputs = first.shape().outputs};
    finish_block(block, epilogue, result, stride);
  });
}

}  // namespace lowrank::kernels
