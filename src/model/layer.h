// A layer: immutable base weights and one slot for what is added to it at run time. The model knows no
// adapters; it only knows that a slot may hold a patch (added to the output) or derived weights (used in
// place of the base).
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "formats/layer_address.h"
#include "model/ops/ops.h"
#include "tensor/state_dict.h"

namespace lowrank::model {

enum class LayerKind { kLinear, kConv2d, kLayerNorm, kGroupNorm, kEmbedding };

class Layer;

// What a patch may do to a linear or convolution layer. Implemented in adapter/, unknown to the model.
struct LayerPatch {
  virtual ~LayerPatch() = default;
  // Returns y with the patch's contribution for input x added. y [.., out] or [B, out, H', W'] is the base
  // layer's output for x; y's storage may be reused when gradients are off. Must not touch the base weight. Gives the same
  // for the same x until a backward pass is done: blocks may be run twice.
  virtual at::Tensor add_to(at::Tensor y, const at::Tensor& x) const = 0;
  // The same as factors, where the patch is nothing else: then the layer's own product takes them along.
  virtual const ops::LowRank* low_rank() const { return nullptr; }
};

// How a model computes, shared by all its layers, and what a user wants otherwise than the checkpoint was trained.
struct ComputePolicy {
  at::ScalarType compute = at::kFloat;  // of products; as ops.h says
  bool wraps_around = false;  // convolutions continue at the opposite edge instead of with zeros ("tiling")
  bool recomputes_blocks = false;  // in training: see recomputed_block.h
  double merged_tokens = 0;  // share of the tokens merged in the finest self-attentions (token_merging.h)
};

// Geometry of a convolution, and of a group norm.
struct LayerGeometry {
  std::int64_t stride = 1;
  std::int64_t padding = 0;
  bool far_side_only = false;  // one row and column of padding at the far end, and none elsewhere
  bool gated = false;          // a linear layer whose outputs are values and their gates (GEGLU)
  std::int64_t groups = 32;    // of a group norm
  double eps = 1e-5;           // of a norm
};

class Layer {
 public:
  Layer(formats::LayerAddress address, LayerKind kind, LayerGeometry geometry, at::Tensor weight,
        at::Tensor bias, std::shared_ptr<const ComputePolicy> policy);

  // x as the kind demands: linear [.., in], convolution and group norm [B, C, H, W], layer norm [.., C],
  // embedding int64 ids [..]. What is `fused` is done in the same pass where possible; a norm knows only the
  // activation.
  at::Tensor operator()(const at::Tensor& x, const ops::Fused& fused = {}) const;

  // This convolution of 1×1 of an x that nobody else holds, in x's own memory where possible.
  at::Tensor over(at::Tensor x) const;

  // As stored, where nothing is added, derived or wrapped around: for what runs several layers as one.
  bool is_base() const;
  ops::Conv base_conv() const { return {&base_, bias_}; }
  ops::GroupNorm base_norm() const { return {geometry_.groups, base_.tensor, bias_, geometry_.eps}; }

  // This convolution of silu(norm(x)), x [B, C, H, W].
  at::Tensor of_norm(const Layer& norm, const at::Tensor& x, const ops::Fused& fused = {}) const;

  const formats::LayerAddress& address() const { return address_; }
  LayerKind kind() const { return kind_; }
  const LayerGeometry& geometry() const { return geometry_; }
  const ComputePolicy& policy() const { return *policy_; }
  // As stored: any float type, read-only bytes when mapped. Bias undefined when the layer has none.
  const at::Tensor& weight() const { return base_.tensor; }
  const at::Tensor& bias() const { return bias_; }

  // The slot. Derived weights (either may be undefined: then the base one is used) come first, patches are
  // added to the output of whichever weight was used, in order.
  struct Slot {
    ops::MadeWeight derived_weight = {};
    at::Tensor derived_bias = {};
    std::vector<std::shared_ptr<const LayerPatch>> patches = {};
  };
  void set_slot(Slot slot);
  void clear_slot() { set_slot({}); }
  const Slot& slot() const { return slot_; }
  // Another number after each change of the slot or of the stored tensors.
  std::uint64_t revision() const { return revision_; }

  // A linear layer's or convolution's products take its weights in 8 bits from now on (ops.h); call before prepare().
  void hold_in_int8();
  bool is_held_in_int8() const { return base_.is_held_in_int8(); }

  // Derives now what a product without gradients would derive at its first use. The stored weight is then
  // read no more, and its pages may go.
  void prepare() const;
  // The same with memory of somebody else: how much it takes (0: nothing is derived), made there, or found
  // there as it was made for an equal layer before.
  std::int64_t prepared_bytes() const;
  void prepare_in(const kernels::Borrowed<std::byte>& memory) const;
  void adopt_prepared(const kernels::Borrowed<const std::byte>& memory) const;
  // Give memory back until the next use.
  void forget_prepared() const { base_.forget(); }
  void forget_derived() const { derived_.forget(); }

  // For training from scratch and for keeping a small model widened: replaces the stored tensors themselves.
  void adopt(at::Tensor weight, at::Tensor bias);

 private:
  bool wraps_around() const;
  at::Tensor run(const at::Tensor& x, const ops::Fused& fused) const;
  formats::LayerAddress address_;
  LayerKind kind_;
  LayerGeometry geometry_;
  ops::Weight base_;
  at::Tensor bias_;
  std::shared_ptr<const ComputePolicy> policy_;
  Slot slot_;
  std::uint64_t revision_ = 0;
  ops::Weight derived_;  // the slot's weight
};

// All layers of one component by their canonical path, in byte order of the paths.
using LayerMap = std::map<std::string, std::unique_ptr<Layer>, std::less<>>;

struct NamedParameter {
  std::string name;  // canonical parameter name: path + ".weight" / ".bias"
  at::Tensor tensor;
};

// The stored tensors of all layers, for an optimiser or a writer.
std::vector<NamedParameter> parameters(const LayerMap& layers);

// Widens every parameter to float32 tensors of our own (leaf tensors that may require gradients).
void widen(LayerMap& layers);

// Builds layers from a state dict by path. Shapes decide all dimensions.
class LayerBuilder {
 public:
  LayerBuilder(formats::Component component, const tensor::StateDict& state, LayerMap& layers,
               std::shared_ptr<const ComputePolicy> policy);

  // Each throws Error(kBadInput) naming the missing or misshapen parameter.
  Layer* linear(const std::string& path);
  Layer* gated_linear(const std::string& path);
  Layer* conv(const std::string& path, std::int64_t stride = 1);  // padding keeps the size at stride 1
  Layer* halving_conv(const std::string& path);                   // stride 2, padded at the far side only
  Layer* conv_or_linear(const std::string& path);                 // by the weight's rank
  Layer* group_norm(const std::string& path, double eps);
  Layer* layer_norm(const std::string& path);
  Layer* embedding(const std::string& path);

  bool has(const std::string& path) const;  // path + ".weight" exists
  // Number of consecutive n = 0, 1, … for which a parameter begins with prefix + n + ".".
  std::int64_t count(const std::string& prefix) const;
  bool any(const std::string& prefix) const;  // a parameter begins with prefix

 private:
  Layer* make(const std::string& path, LayerKind kind, std::int64_t rank, LayerGeometry geometry);
  formats::Component component_;
  const tensor::StateDict& state_;
  LayerMap& layers_;
  std::shared_ptr<const ComputePolicy> policy_;
};

}  // namespace lowrank::model
