#include "kernels/attention_gradient.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <vector>

#include "base/parallel.h"
#include "kernels/buffer.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/attention_gradient.cc"
#include "kernels/simd_targets.inc"

HWY_BEFORE_NAMESPACE();
namespace lowrank::kernels {
namespace HWY_NAMESPACE {

namespace hn = hwy::HWY_NAMESPACE;
#include "kernels/simd_math.inc"

using Floats = hn::CappedTag<float, kPanel>;
constexpr Floats kFloats;
constexpr std::int64_t kLanes = static_cast<std::int64_t>(hn::MaxLanes(Floats()));

// A key's row of scores and of dP, in place: p = 2^(scores · factor − log_sums) and dS = scale · p · (dP − means), for
// `count` queries and up to a vector more.
void weigh(float* scores, float* dp, const float* log_sums, const float* means, std::int64_t count,
           float factor, float scale) {
  const auto factors = hn::Set(kFloats, factor), scales = hn::Set(kFloats, scale);
  for (std::int64_t i = 0; i < count; i += kLanes) {
    const auto p = power_of_two(
        kFloats, hn::MulSub(hn::LoadU(kFloats, scores + i), factors, hn::LoadU(kFloats, log_sums + i)));
    const auto difference = hn::Sub(hn::LoadU(kFloats, dp + i), hn::LoadU(kFloats, means + i));
    hn::StoreU(p, kFloats, scores + i);
    hn::StoreU(hn::Mul(hn::Mul(p, scales), difference), kFloats, dp + i);
  }
}

}  // namespace HWY_NAMESPACE
}  // namespace lowrank::kernels
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace lowrank::kernels {

HWY_EXPORT(weigh);

namespace {

constexpr std::int64_t kKeyRows = 192, kStrip = 256;  // keys of a block, queries of a strip
constexpr std::int64_t kStripStride = kRowBytes / 4;  // of floats: rows of results lie as a left block's do
constexpr std::int64_t kEnoughItems = 16;             // of work, for an even share on a few threads
constexpr std::int64_t kPackedBytes = 64 << 20;       // of as many heads as are done at once
static_assert(kKeyRows <= kBlockRows && kStrip <= kBlockDepth && kKeyRows <= kBlockDepth);

constexpr std::int64_t parts_of(std::int64_t length, std::int64_t size) {
  return (length + size - 1) / size;
}

// Memory handed out piece by piece, each at a multiple of a cache line; first measured, then of some place.
class Pieces {
 public:
  explicit Pieces(std::byte* place = nullptr) : place_(place) {}
  std::byte* take(std::int64_t bytes) {
    std::byte* const piece = place_ == nullptr ? nullptr : place_ + taken_;
    taken_ += round_up(bytes, 64);
    return piece;
  }
  float* floats(std::int64_t count) { return reinterpret_cast<float*>(take(count * 4)); }
  std::int64_t taken() const { return taken_; }

 private:
  std::byte* place_;
  std::int64_t taken_ = 0;
};

// What blocks of keys read of one strip of queries.
struct Strip {
  std::byte *q_across, *dy_across;  // Qᵀ and dYᵀ: [depth block][panel of queries]
  std::byte *q_down, *dy_down;      // Q and dY: [panel of a head's numbers], as deep as the strip
  float *log_sums, *means;          // [kStrip]
};

// One head's part of the problem, cut into blocks.
class Head {
 public:
  Head(const AttentionShape& shape, const BlockKernel& kernel) : shape_(shape), kernel_(kernel) {}

  std::int64_t width() const { return shape_.head; }
  std::int64_t padded() const { return round_up(shape_.head, kPanel); }
  std::int64_t depths() const { return parts_of(shape_.head, kBlockDepth); }
  std::int64_t depth(std::int64_t d) const { return std::min(kBlockDepth, shape_.head - d * kBlockDepth); }
  std::int64_t strips() const { return parts_of(shape_.queries, kStrip); }
  std::int64_t queries_in(std::int64_t strip) const {
    return std::min(kStrip, shape_.queries - strip * kStrip);
  }
  std::int64_t blocks() const { return parts_of(shape_.keys, kKeyRows); }
  std::int64_t keys_in(std::int64_t block) const {
    return std::min(kKeyRows, shape_.keys - block * kKeyRows);
  }
  std::int64_t stride() const { return shape_.heads * shape_.head; }
  const BlockKernel& kernel() const { return kernel_; }
  const AttentionShape& shape() const { return shape_; }

  // dQᵀ of a strip: rows are a head's numbers.
  std::int64_t strip_floats() const { return round_up(shape_.head, 32) * kStripStride; }

  Strip strip_in(Pieces& pieces) const {
    std::int64_t across = 0;
    for (std::int64_t d = 0; d < depths(); ++d) across += kStrip / kPanel * kernel_.panel_bytes(depth(d));
    const std::int64_t down = padded() / kPanel * kernel_.panel_bytes(kStrip);
    Strip strip{};
    for (std::byte** piece : {&strip.q_across, &strip.dy_across}) *piece = pieces.take(across);
    for (std::byte** piece : {&strip.q_down, &strip.dy_down}) *piece = pieces.take(down);
    for (float** piece : {&strip.log_sums, &strip.means}) *piece = pieces.floats(kStrip);
    return strip;
  }

  // `in` points to the head's first query of the strip.
  void pack(const AttentionInputs& in, std::int64_t count, const Strip& to) const {
    std::byte *q_to = to.q_across, *dy_to = to.dy_across;
    for (std::int64_t d = 0; d < depths(); ++d) {
      for (std::int64_t c = 0; c < count; c += kPanel) {
        const std::int64_t from = c * stride() + d * kBlockDepth, columns = std::min(kPanel, count - c);
        const std::int64_t place = c / kPanel * kernel_.panel_bytes(depth(d));
        kernel_.pack_transposed(in.q + from, stride(), depth(d), columns, q_to + place);
        kernel_.pack_transposed(in.dy + from, stride(), depth(d), columns, dy_to + place);
      }
      q_to += kStrip / kPanel * kernel_.panel_bytes(depth(d));
      dy_to += kStrip / kPanel * kernel_.panel_bytes(depth(d));
    }
    for (std::int64_t c = 0; c < width(); c += kPanel) {
      const std::int64_t columns = std::min(kPanel, width() - c),
                         place = c / kPanel * kernel_.panel_bytes(count);
      kernel_.pack_columns(in.q + c, stride(), count, columns, to.q_down + place);
      kernel_.pack_columns(in.dy + c, stride(), count, columns, to.dy_down + place);
    }
    for (std::int64_t i = 0; i < kStrip; ++i) {
      float sum = 0;
      for (std::int64_t c = 0; i < count && c < width(); ++c)
        sum += in.y[i * stride() + c] * in.dy[i * stride() + c];
      to.means[i] = sum;
      to.log_sums[i] = i < count ? in.log_sums[i] : 0;
    }
  }

 private:
  const AttentionShape& shape_;
  const BlockKernel& kernel_;
};

// What one thread works in.
struct Work {
  std::byte *k_left, *v_left;  // a block of keys and of values as left blocks, one for each depth
  std::byte* k_turned;  // Kᵀ: rows are a head's numbers, kKeyRows deep; one for each kBlockRows of them
  std::byte *p_left, *ds_left;  // Pᵀ and dSᵀ as left blocks; where those are floats, the results themselves
  std::byte* ds_right;          // dSᵀ as panels of queries
  float *scores, *dp;           // [kKeyRows][kStripStride]
  float *dk, *dv;               // [kKeyRows][padded]
  float* turned;                // [head][kKeyRows]

  Work(const Head& head, Pieces& pieces) {
    const std::int64_t block = kKeyRows * head.kernel().row_bytes();
    k_left = pieces.take(head.depths() * block);
    v_left = pieces.take(head.depths() * block);
    k_turned = pieces.take(parts_of(head.width(), kBlockRows) * kBlockRows * head.kernel().row_bytes());
    scores = pieces.floats(kKeyRows * kStripStride);
    dp = pieces.floats(kKeyRows * kStripStride);
    const bool in_place = head.kernel().left_is_floats;
    p_left = in_place ? reinterpret_cast<std::byte*>(scores) : pieces.take(block);
    ds_left = in_place ? reinterpret_cast<std::byte*>(dp) : pieces.take(block);
    ds_right = pieces.take(kStrip / kPanel * head.kernel().panel_bytes(kKeyRows));
    dk = pieces.floats(kKeyRows * head.padded());
    dv = pieces.floats(kKeyRows * head.padded());
    turned = pieces.floats(head.width() * kKeyRows);
  }
};

void pack_left(const BlockKernel& kernel, const float* rows, std::int64_t stride, std::int64_t count,
               std::int64_t depth, std::byte* block) {
  std::array<const float*, kBlockRows> source;
  for (std::int64_t r = 0; r < count; ++r) source[static_cast<std::size_t>(r)] = rows + r * stride;
  kernel.pack_rows(source.data(), count, depth, 0, block);
  kernel.finish_depth(count, depth, block);
}

// k and v: the block's first key and value.
void pack_keys(const Head& head, const float* k, const float* v, std::int64_t keys, const Work& work) {
  const BlockKernel& kernel = head.kernel();
  for (std::int64_t d = 0; d < head.depths(); ++d) {
    const std::int64_t place = d * kKeyRows * kernel.row_bytes();
    pack_left(kernel, k + d * kBlockDepth, head.stride(), keys, head.depth(d), work.k_left + place);
    pack_left(kernel, v + d * kBlockDepth, head.stride(), keys, head.depth(d), work.v_left + place);
  }
  for (std::int64_t j = 0; j < keys; ++j)
    for (std::int64_t c = 0; c < head.width(); ++c) work.turned[c * kKeyRows + j] = k[j * head.stride() + c];
  for (std::int64_t c = 0; c < head.width(); c += kBlockRows)
    pack_left(kernel, work.turned + c * kKeyRows, kKeyRows, std::min(kBlockRows, head.width() - c), keys,
              work.k_turned + c * kernel.row_bytes());
}

// One block of keys against one strip of queries: adds to dK and dV of the block and, as dQᵀ, to `dq` of the strip.
void add_strip(const Head& head, std::int64_t block, std::int64_t index, const Strip& strip, const Work& work,
               bool is_first_strip, float* dq) {
  const BlockKernel& kernel = head.kernel();
  const std::int64_t keys = head.keys_in(block), queries = head.queries_in(index),
                     panels = parts_of(queries, kPanel);
  const float scale = static_cast<float>(1 / std::sqrt(static_cast<double>(head.width())));
  std::int64_t across = 0;
  for (std::int64_t d = 0; d < head.depths(); ++d) {
    const std::int64_t left = d * kKeyRows * kernel.row_bytes();
    kernel.multiply(work.k_left + left, keys, strip.q_across + across, panels, head.depth(d), work.scores,
                    kStripStride, d > 0);
    kernel.multiply(work.v_left + left, keys, strip.dy_across + across, panels, head.depth(d), work.dp,
                    kStripStride, d > 0);
    across += kStrip / kPanel * kernel.panel_bytes(head.depth(d));
  }
  for (std::int64_t j = 0; j < keys; ++j) {
    float *const scores = work.scores + j * kStripStride, *const dp = work.dp + j * kStripStride;
    HWY_DYNAMIC_DISPATCH(weigh)(scores, dp, strip.log_sums, strip.means, queries, scale * 1.44269504F, scale);
    if (head.shape().mask != AttentionMask::kCausal) continue;
    const std::int64_t unseen = std::clamp<std::int64_t>(block * kKeyRows + j - index * kStrip, 0, queries);
    std::fill_n(scores, unseen, 0.0F);
    std::fill_n(dp, unseen, 0.0F);
  }
  for (std::int64_t p = 0; p < panels; ++p)
    kernel.pack_columns(work.dp + p * kPanel, kStripStride, keys, std::min(kPanel, queries - p * kPanel),
                        work.ds_right + p * kernel.panel_bytes(keys));
  if (kernel.left_is_floats) {
    kernel.finish_depth(keys, queries, work.p_left);
    kernel.finish_depth(keys, queries, work.ds_left);
  } else {
    pack_left(kernel, work.scores, kStripStride, keys, queries, work.p_left);
    pack_left(kernel, work.dp, kStripStride, keys, queries, work.ds_left);
  }
  const std::int64_t wide = head.padded() / kPanel;
  kernel.multiply(work.p_left, keys, strip.dy_down, wide, queries, work.dv, head.padded(), !is_first_strip);
  kernel.multiply(work.ds_left, keys, strip.q_down, wide, queries, work.dk, head.padded(), !is_first_strip);
  for (std::int64_t c = 0; c < head.width(); c += kBlockRows)
    kernel.multiply(work.k_turned + c * kernel.row_bytes(), std::min(kBlockRows, head.width() - c),
                    work.ds_right, panels, keys, dq + c * kStripStride, kStripStride, /*add=*/true);
}

// The strips of one head, packed, and its dQᵀ in as many parts as there are groups of key blocks.
struct HeadMemory {
  std::vector<Strip> strips;
  std::vector<float*> dq;  // [group]: [strip][head][kStripStride]

  HeadMemory(const Head& head, std::int64_t groups, Pieces& pieces) {
    for (std::int64_t s = 0; s < head.strips(); ++s) strips.push_back(head.strip_in(pieces));
    for (std::int64_t g = 0; g < groups; ++g)
      dq.push_back(pieces.floats(head.strips() * head.strip_floats()));
  }
};

// The first strip that sees a key of the block.
std::int64_t first_strip(const Head& head, std::int64_t block) {
  return head.shape().mask == AttentionMask::kCausal ? std::min(head.strips(), block * kKeyRows / kStrip) : 0;
}

// Key blocks `from` … `to` − 1; pointers to the head's first key and value and their gradients.
void do_group(const Head& head, std::int64_t from, std::int64_t to, const float* k, const float* v, float* dk,
              float* dv, const HeadMemory& memory, float* dq) {
  Pieces measure;
  const Work measured(head, measure);
  Pieces pieces(scratch(0, measure.taken()));
  const Work work(head, pieces);
  std::fill_n(dq, head.strips() * head.strip_floats(), 0.0F);
  for (std::int64_t block = from; block < to; ++block) {
    const std::int64_t keys = head.keys_in(block), place = block * kKeyRows * head.stride();
    pack_keys(head, k + place, v + place, keys, work);
    const std::int64_t first = first_strip(head, block);
    for (std::int64_t s = first; s < head.strips(); ++s)
      add_strip(head, block, s, memory.strips[static_cast<std::size_t>(s)], work, s == first,
                dq + s * head.strip_floats());
    for (std::int64_t j = 0; j < keys; ++j) {
      const std::int64_t row = place + j * head.stride();
      if (first == head.strips()) {  // keys that no query sees
        std::fill_n(dk + row, head.width(), 0.0F);
        std::fill_n(dv + row, head.width(), 0.0F);
        continue;
      }
      std::copy_n(work.dk + j * head.padded(), head.width(), dk + row);
      std::copy_n(work.dv + j * head.padded(), head.width(), dv + row);
    }
  }
}

// The groups' parts of dQᵀ, summed in their order.
void gather_queries(const Head& head, std::int64_t strip, const HeadMemory& memory, float* dq) {
  for (std::int64_t i = 0; i < head.queries_in(strip); ++i) {
    for (std::int64_t c = 0; c < head.width(); ++c) {
      const std::int64_t place = strip * head.strip_floats() + c * kStripStride + i;
      float sum = 0;
      for (const float* part : memory.dq) sum += part[place];
      dq[i * head.stride() + c] = sum;
    }
  }
}

}  // namespace

void attention_gradient(const AttentionInputs& in, const AttentionShape& shape, const AttentionGradients& out,
                        int threads, const BlockKernel& kernel) {
  const Head head(shape, kernel);
  const std::int64_t heads = shape.batch * shape.heads, stride = head.stride();
  const std::int64_t groups = std::clamp<std::int64_t>(kEnoughItems / heads, 1, head.blocks());
  Pieces measure;
  const HeadMemory measured(head, groups, measure);
  const std::int64_t at_once = std::clamp<std::int64_t>(kPackedBytes / measure.taken(), 1, heads);
  const Buffer buffer(at_once * measure.taken(), Pages::kSmall);
  std::vector<HeadMemory> memory;
  for (std::int64_t h = 0; h < at_once; ++h) {
    Pieces pieces(buffer.data() + h * measure.taken());
    memory.emplace_back(head, groups, pieces);
  }
  // First float of a head in a tensor of `rows` rows.
  const auto start = [&](std::int64_t h, std::int64_t rows) {
    return h / shape.heads * rows * stride + h % shape.heads * shape.head;
  };
  for (std::int64_t from = 0; from < heads; from += at_once) {
    const std::int64_t count = std::min(at_once, heads - from);
    parallel_for(count * head.strips(), threads, [&](std::int64_t item) {
      const std::int64_t h = item / head.strips(), s = item % head.strips();
      const std::int64_t at = start(from + h, shape.queries) + s * kStrip * stride;
      AttentionInputs own = in;
      own.q += at, own.y += at, own.dy += at;
      own.log_sums += (from + h) * shape.queries + s * kStrip;
      head.pack(own, head.queries_in(s),
                memory[static_cast<std::size_t>(h)].strips[static_cast<std::size_t>(s)]);
    });
    parallel_for(count * groups, threads, [&](std::int64_t item) {
      const std::int64_t h = item / groups, g = item % groups, at = start(from + h, shape.keys);
      const HeadMemory& own = memory[static_cast<std::size_t>(h)];
      do_group(head, g * head.blocks() / groups, (g + 1) * head.blocks() / groups, in.k + at, in.v + at,
               out.k + at, out.v + at, own, own.dq[static_cast<std::size_t>(g)]);
    });
    parallel_for(count * head.strips(), threads, [&](std::int64_t item) {
      const std::int64_t h = item / head.strips(), s = item % head.strips();
      gather_queries(head, s, memory[static_cast<std::size_t>(h)],
                     out.q + start(from + h, shape.queries) + s * kStrip * stride);
    });
  }
}

}  // namespace lowrank::kernels
#endif
