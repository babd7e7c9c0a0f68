// What the operations of the model work on, whoever carries them out: weights with what is derived from them, and what
// belongs to a call beside them.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
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

// Whether the kernels can take this weight: on the CPU, of a type they know, and not being trained. Weights that are
// being trained are written behind our back, by the optimiser: packing them would pay for one use.
bool is_fixed(const Weight& weight);

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

// Of group normalisation, see group_norm().
struct GroupNorm {
  std::int64_t groups = 32;
  at::Tensor scale, shift;
  double eps = 1e-5;
};

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
enum class Mask { kNone, kCausal };

}  // namespace lowrank::model::ops
