// The tensor operations of the model, in one place: the only file that chooses between libtorch and our own
// kernels. All take and return tensors in NCHW or [B, N, C] order. `compute` is the type in which products
// are formed; norms and softmax always run in float32. Differentiable when gradients are on.
//
// Note [channels last]: without gradients, on the CPU and in float32, the kernels run. Maps then lie in
// memory as [B, H, W, C] (at::MemoryFormat::ChannelsLast), so that a map and the rows [B, H·W, C] of a
// transformer are the same bytes, and whatever follows a product (Fused) is done while its result is in the
// cache. With gradients they run where the weights are fixed, as they are while a LoRA learns (gradient_ops.h).
#pragma once

#include <ATen/core/Tensor.h>

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <utility>
#include <vector>

namespace lowrank::kernels {
class PackedWeights;
template <typename Byte>
struct Borrowed;
}  // namespace lowrank::kernels

namespace lowrank::model::ops {

// A weight that is made of others when it is needed. It need not be kept: the kernels' copy is enough.
struct MadeWeight {
  std::function<at::Tensor()> make = {};  // the same numbers each time
  std::vector<std::int64_t> sizes = {};
  at::ScalarType type = at::kFloat;

  bool defined() const { return make != nullptr; }
};

// A weight [out, in] or [out, in, kh, kw] of any float type, and what the kernels derive from it at first
// use. Not to be used by two threads at once.
class Weight {
 public:
  Weight() = default;
  explicit Weight(at::Tensor stored) : tensor(std::move(stored)) {}
  explicit Weight(MadeWeight made);
  at::Tensor tensor;  // of a made weight, its sizes and type without numbers
  bool is_made() const { return make_ != nullptr; }
  // `tensor`; of a made weight its numbers, which are kept from now on.
  const at::Tensor& numbers() const;

  // From now on rounded to 8 bits where the kernels take it (inputs in runs of 32), see kernels::Number::kInt8.
  void hold_in_int8();
  bool is_held_in_int8() const;

  // In the kernels' order of panels. Made again when the weight was written to.
  const kernels::PackedWeights& packed(bool gated) const;
  // Gives back all that was derived, until it is needed again.
  void forget() const {
    packed_.reset();
    transposed_.reset();
    made_.reset();
  }
  // Of the weight whose product is the gradient of this one's product with respect to its input: inputs and
  // outputs change places, and a kernel is turned by half a circle.
  std::shared_ptr<const kernels::PackedWeights> packed_transposed() const;

  // Bytes of that; 0 when the kernels cannot take this weight.
  std::int64_t packed_bytes(bool gated) const;
  // Packs into somebody's memory; takes what was packed from an equal weight before.
  void pack_into(bool gated, const kernels::Borrowed<std::byte>& memory) const;
  void adopt_packed(bool gated, const kernels::Borrowed<const std::byte>& packed) const;

 private:
  bool is_packed(bool gated) const;
  void set_packed(std::shared_ptr<const kernels::PackedWeights> packed) const;
  at::Tensor once() const;
  // Tells tensors apart that were put in each other's place.
  const void* place() const { return is_made() ? nullptr : tensor.data_ptr(); }
  std::function<at::Tensor()> make_;
  mutable at::Tensor made_;
  bool wants_int8_ = false;
  mutable std::shared_ptr<const kernels::PackedWeights> packed_;
  mutable const void* packed_from_ = nullptr;
  mutable std::int64_t packed_version_ = 0;
  mutable std::shared_ptr<const kernels::PackedWeights> transposed_;
  mutable const void* transposed_from_ = nullptr;
  mutable std::int64_t transposed_version_ = 0;
};

// Derives what a product without gradients needs, where the kernels can take this weight.
void prepare(const Weight& weight, bool gated);

// kGeglu (Shazeer 2020): of 2n outputs the first n are values, the others their gates; value · gelu(gate).
enum class Activation { kNone, kSilu, kGelu, kQuickGelu, kGeglu };

// What belongs to one call of a layer:
//   y = activation(layer(upsampled x) + per_image) + residual
struct Fused {
  Activation activation = Activation::kNone;
  at::Tensor per_image = {};   // [B, out]: added at every place of image b
  at::Tensor residual = {};    // as y
  bool into_residual = false;  // without gradients, y may take the residual's memory: nobody else needs it
  // A convolution only. Size to which x is brought first, by the nearest pixel.
  std::optional<std::pair<std::int64_t, std::int64_t>> upsample_to = {};
};

// Padding of a convolution: the same on all sides, or one row and column at the far end only.
struct ConvGeometry {
  std::int64_t stride = 1, padding = 0;
  bool far_side_only = false;

  std::int64_t near() const { return far_side_only ? 0 : padding; }  // above and to the left
};

// up · (down · x), added to a layer's output before what is fused.
struct LowRank {
  Weight down;  // [R, in] or [R, in, kh, kw]
  Weight up;    // [out, R] or [out, R, 1, 1]
};

// x [.., in] · wᵀ + b. Result in `compute`.
at::Tensor linear(const at::Tensor& x, const Weight& w, const at::Tensor& b,
                  std::span<const LowRank* const> low_rank, const Fused& fused, at::ScalarType compute);

// x [B, in, H, W] ⊛ w + b.
at::Tensor conv2d(const at::Tensor& x, const Weight& w, const at::Tensor& b,
                  std::span<const LowRank* const> low_rank, const ConvGeometry& geometry, const Fused& fused,
                  at::ScalarType compute);

// The same for a convolution of 1×1 whose input nobody else holds: without gradients its result takes the
// input's memory where it fits.
at::Tensor conv2d_in_place(at::Tensor x, const Weight& w, const at::Tensor& b, at::ScalarType compute);

// What `fused` asks for, done to a finished y [.., out] or [B, out, H, W]; upsample_to is not looked at.
at::Tensor finish(at::Tensor y, const Fused& fused);
at::Tensor upsample(const at::Tensor& x, const Fused& fused);

// Group normalisation (Wu & He 2018) over `groups` groups of channels of x [B, C, H, W], then `activation`
// (none or SiLU); float32.
at::Tensor group_norm(const at::Tensor& x, std::int64_t groups, const at::Tensor& w, const at::Tensor& b,
                      double eps, Activation activation = Activation::kNone);

struct GroupNorm {
  std::int64_t groups = 32;
  at::Tensor scale, shift;
  double eps = 1e-5;
};

// conv2d of silu(norm(x)). Without gradients the normalised map is made strip by strip where it is large (a
// VAE's largest would take 268 MB at 512×512); equal bit for bit to making it whole.
at::Tensor conv2d_of_norm(const at::Tensor& x, const GroupNorm& norm, const Weight& w, const at::Tensor& b,
                          const ConvGeometry& geometry, const Fused& fused, at::ScalarType compute);

// A VAE's residual block, shortcut(x) + conv2(silu(norm2(conv1(silu(norm1(x)))))).
struct Conv {
  const Weight* weight = nullptr;
  at::Tensor bias;
};
struct ResBlock {
  GroupNorm norm1;
  Conv conv1;
  GroupNorm norm2;
  Conv conv2;
  Conv shortcut;  // 1×1; no weight: x itself
};
// Whether the block's maps are so large (more than a gigabyte) that they are better made strip by strip (strip_ops.h),
// and the kernels can do it. `up`: the block is of up(x doubled); null: of x.
bool wants_strips(const at::Tensor& x, const Conv* up, const ResBlock& block, at::ScalarType compute);
// The first has no shortcut, and its result takes x's memory.
at::Tensor res_block_in_strips(at::Tensor x, const ResBlock& block);
at::Tensor res_block_of_doubled_in_strips(const at::Tensor& x, const Conv& up, const ResBlock& block);

// Layer normalisation over the last dimension; float32.
at::Tensor layer_norm(const at::Tensor& x, const at::Tensor& w, const at::Tensor& b, double eps);

at::Tensor silu(const at::Tensor& x);

enum class Mask { kNone, kCausal };

// Scaled dot-product attention with `heads` heads: q [B, N, C], k and v [B, M, C] → [B, N, C]. Without
// gradients the score matrix is never formed as a whole.
at::Tensor attention(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v, std::int64_t heads,
                     Mask mask);

}  // namespace lowrank::model::ops
