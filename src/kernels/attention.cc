#include "kernels/attention.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>

#include "base/parallel.h"
#include "kernels/buffer.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/attention.cc"
#include "kernels/simd_targets.inc"

HWY_BEFORE_NAMESPACE();
namespace lowrank::kernels {
namespace HWY_NAMESPACE {

namespace hn = hwy::HWY_NAMESPACE;
#include "kernels/simd_math.inc"

using Floats = hn::CappedTag<float, kPanel>;
constexpr Floats kFloats;
constexpr std::int64_t kLanes = static_cast<std::int64_t>(hn::MaxLanes(Floats()));

// One row of scores, in place: p = exp(scale · (s − maximum)) for the first `count`, zeros up to `width` (a
// multiple of 16). Returns Σ p, and raises `maximum`.
float exponentiate(float* scores, std::int64_t count, std::int64_t width, float scale, float& maximum) {
  for (std::int64_t i = count; i < width; ++i) scores[i] = -std::numeric_limits<float>::infinity();
  auto largest = hn::Set(kFloats, maximum);
  for (std::int64_t i = 0; i < count; i += kLanes) largest = hn::Max(largest, hn::LoadU(kFloats, scores + i));
  maximum = hn::GetLane(hn::MaxOfLanes(kFloats, largest));
  // exp(scale · (s − maximum)) = 2^(s · factor − maximum · factor); what is masked becomes 2⁻¹²⁶, which is
  // nothing.
  const float log2_scale = scale * 1.44269504F;
  const auto factor = hn::Set(kFloats, log2_scale), top = hn::Set(kFloats, -maximum * log2_scale);
  auto sum = hn::Zero(kFloats);
  std::int64_t i = 0;
  for (; i < count; i += kLanes) {
    const auto p = power_of_two(kFloats, hn::MulAdd(hn::LoadU(kFloats, scores + i), factor, top));
    hn::StoreU(p, kFloats, scores + i);
    sum = hn::Add(sum, p);
  }
  for (; i < width; i += kLanes) hn::StoreU(hn::Zero(kFloats), kFloats, scores + i);
  return hn::GetLane(hn::SumOfLanes(kFloats, sum));
}

void multiply_row(float* row, std::int64_t count, float factor) {
  std::int64_t i = 0;
  for (; i + kLanes <= count; i += kLanes)
    hn::StoreU(hn::Mul(hn::LoadU(kFloats, row + i), hn::Set(kFloats, factor)), kFloats, row + i);
  for (; i < count; ++i) row[i] *= factor;
}

}  // namespace HWY_NAMESPACE
}  // namespace lowrank::kernels
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace lowrank::kernels {

HWY_EXPORT(exponentiate);
HWY_EXPORT(multiply_row);

namespace {

// Queries of a work item, and keys at once, the depth of the second product. 64 × 128, whose scores stay in a level-1
// cache, was up to half slower: packed keys are then read more often.
constexpr std::int64_t kQueryRows = 96, kKeyBlock = 256;
constexpr std::int64_t kPackedBytes = 48 << 20;  // of keys and values of as many heads as are done at once
static_assert(kQueryRows <= kBlockRows && kKeyBlock <= kBlockDepth);

constexpr std::int64_t panels_of(std::int64_t columns) {
  return round_up(columns, kPanel) / kPanel;
}

// Keys and values of one head, packed: a block of keys is [depth block][panel of 16 keys], then [panel of
// values].
class PackedKeys {
 public:
  PackedKeys(const AttentionShape& shape, const BlockKernel& kernel) : shape_(shape), kernel_(kernel) {}

  std::int64_t blocks() const { return (shape_.keys + kKeyBlock - 1) / kKeyBlock; }
  std::int64_t keys_in(std::int64_t block) const {
    return std::min(kKeyBlock, shape_.keys - block * kKeyBlock);
  }
  std::int64_t block_bytes() const {
    return key_bytes() + panels_of(shape_.head) * kernel_.panel_bytes(kKeyBlock);
  }
  std::int64_t bytes() const { return blocks() * block_bytes(); }

  // k and v point to the head's first key and value; keys are `stride` floats apart.
  void pack(const float* k, const float* v, std::int64_t stride, std::int64_t block, std::byte* to) const {
    const std::int64_t first = block * kKeyBlock, count = keys_in(block);
    for (std::int64_t d = 0; d < shape_.head; d += kBlockDepth) {
      const std::int64_t depth = std::min(kBlockDepth, shape_.head - d);
      for (std::int64_t c = 0; c < count; c += kPanel) {
        kernel_.pack_transposed(k + (first + c) * stride + d, stride, depth, std::min(kPanel, count - c),
                                to + c / kPanel * kernel_.panel_bytes(depth));
      }
      to += panels_of(kKeyBlock) * kernel_.panel_bytes(depth);
    }
    for (std::int64_t c = 0; c < shape_.head; c += kPanel) {
      kernel_.pack_columns(v + first * stride + c, stride, count, std::min(kPanel, shape_.head - c),
                           to + c / kPanel * kernel_.panel_bytes(count));
    }
  }

  std::int64_t key_bytes() const {
    std::int64_t bytes = 0;
    for (std::int64_t d = 0; d < shape_.head; d += kBlockDepth)
      bytes += panels_of(kKeyBlock) * kernel_.panel_bytes(std::min(kBlockDepth, shape_.head - d));
    return bytes;
  }

 private:
  const AttentionShape& shape_;
  const BlockKernel& kernel_;
};

// `rows` queries, `stride` floats apart, of one head. `log_sums` may be null.
void attend(const float* q, float* result, float* log_sums, std::int64_t stride, std::int64_t first,
            std::int64_t rows, const AttentionShape& shape, const PackedKeys& packed, const std::byte* keys,
            const BlockKernel& kernel) {
  const std::int64_t depths = (shape.head + kBlockDepth - 1) / kBlockDepth,
                     columns = round_up(shape.head, kPanel);
  const float scale = static_cast<float>(1 / std::sqrt(static_cast<double>(shape.head)));
  const std::int64_t block_bytes = kQueryRows * kernel.row_bytes();
  std::byte* const left = scratch(0, (depths + 1) * block_bytes);
  // Scores lie as a left block does, and become one where that is floats.
  constexpr std::int64_t kScoreStride = kRowBytes / 4;
  std::byte* const score_block = scratch(1, kQueryRows * kRowBytes);
  float* const scores = reinterpret_cast<float*>(score_block);
  std::byte* const weights = kernel.left_is_floats ? score_block : left + depths * block_bytes;
  float* const sums = reinterpret_cast<float*>(scratch(2, kQueryRows * columns * 4));
  std::array<const float*, kQueryRows> source;
  for (std::int64_t d = 0; d < depths; ++d) {
    const std::int64_t depth = std::min(kBlockDepth, shape.head - d * kBlockDepth);
    std::byte* const block = left + d * block_bytes;
    for (std::int64_t r = 0; r < rows; ++r)
      source[static_cast<std::size_t>(r)] = q + r * stride + d * kBlockDepth;
    kernel.pack_rows(source.data(), rows, depth, 0, block);
    kernel.finish_depth(rows, depth, block);
  }
  for (std::int64_t r = 0; r < rows; ++r) source[static_cast<std::size_t>(r)] = scores + r * kScoreStride;
  std::array<float, kQueryRows> maximum, total{};
  maximum.fill(-std::numeric_limits<float>::infinity());
  const bool causal = shape.mask == AttentionMask::kCausal;
  for (std::int64_t b = 0; b < packed.blocks(); ++b) {
    if (causal && b * kKeyBlock > first + rows - 1) break;
    const std::int64_t count = packed.keys_in(b), width = round_up(count, kPanel);
    const std::byte* right = keys + b * packed.block_bytes();
    for (std::int64_t d = 0; d < depths; ++d) {
      const std::int64_t depth = std::min(kBlockDepth, shape.head - d * kBlockDepth);
      kernel.multiply(left + d * block_bytes, rows, right, width / kPanel, depth, scores, kScoreStride,
                      d > 0);
      right += panels_of(kKeyBlock) * kernel.panel_bytes(depth);
    }
    for (std::int64_t r = 0; r < rows; ++r) {
      const auto i = static_cast<std::size_t>(r);
      const std::int64_t seen =
          causal ? std::clamp<std::int64_t>(first + r + 1 - b * kKeyBlock, 0, count) : count;
      const float before = maximum[i];
      const float added =
          HWY_DYNAMIC_DISPATCH(exponentiate)(scores + r * kScoreStride, seen, width, scale, maximum[i]);
      if (b > 0 && maximum[i] != before) {
        const float shrink = std::exp((before - maximum[i]) * scale);
        total[i] *= shrink;
        HWY_DYNAMIC_DISPATCH(multiply_row)(sums + r * columns, columns, shrink);
      }
      total[i] += added;
    }
    if (!kernel.left_is_floats) {
      kernel.pack_rows(source.data(), rows, count, 0, weights);
      kernel.finish_depth(rows, count, weights);
    }
    kernel.multiply(weights, rows, right, columns / kPanel, count, sums, columns, b > 0);
  }
  for (std::int64_t r = 0; r < rows; ++r) {
    const auto i = static_cast<std::size_t>(r);
    HWY_DYNAMIC_DISPATCH(multiply_row)(sums + r * columns, columns, 1 / total[i]);
    std::copy_n(sums + r * columns, shape.head, result + r * stride);
    if (log_sums != nullptr) log_sums[r] = maximum[i] * (scale * 1.44269504F) + std::log2(total[i]);
  }
}

}  // namespace

void attention(const float* q, const float* k, const float* v, const AttentionShape& shape, float* result,
               int threads, const BlockKernel& kernel, float* log_sums) {
  const PackedKeys packed(shape, kernel);
  const std::int64_t stride = shape.heads * shape.head, heads = shape.batch * shape.heads;
  const std::int64_t at_once = std::clamp<std::int64_t>(kPackedBytes / packed.bytes(), 1, heads);
  std::byte* const keys = scratch(3, at_once * packed.bytes());
  const std::int64_t strips = (shape.queries + kQueryRows - 1) / kQueryRows;
  // First float of a head in a tensor of `rows` rows.
  const auto start = [&](std::int64_t head, std::int64_t rows) {
    return head / shape.heads * rows * stride + head % shape.heads * shape.head;
  };
  for (std::int64_t from = 0; from < heads; from += at_once) {
    const std::int64_t count = std::min(at_once, heads - from);
    parallel_for(count * packed.blocks(), threads, [&](std::int64_t item) {
      const std::int64_t head = item / packed.blocks(), block = item % packed.blocks();
      packed.pack(k + start(from + head, shape.keys), v + start(from + head, shape.keys), stride, block,
                  keys + head * packed.bytes() + block * packed.block_bytes());
    });
    parallel_for(count * strips, threads, [&](std::int64_t item) {
      const std::int64_t head = item / strips, row = item % strips * kQueryRows;
      const std::int64_t at = start(from + head, shape.queries) + row * stride;
      attend(q + at, result + at,
             log_sums == nullptr ? nullptr : log_sums + (from + head) * shape.queries + row, stride, row,
             std::min(kQueryRows, shape.queries - row), shape, packed, keys + head * packed.bytes(), kernel);
    });
  }
}

}  // namespace lowrank::kernels
#endif
