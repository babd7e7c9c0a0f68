// What one module of a LoRA file does to one layer, as a formula: checked once against the layer's shape,
// evaluated when a stack needs it. The tensors stay as they lie in the file (mapped) until then; all
// arithmetic is float32.
//
//   linear [out, in], convolution [out, in, kh, kw], norm [c], embedding [rows, width]
//
// The user's weight m is applied by the stack: the layer becomes W + m·ΔW, b + m·Δb.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "formats/lora/kind_shapes.h"
#include "formats/lora/lora_file.h"
#include "model/layer.h"

namespace lowrank::adapter {

// `dyn` of a tag: how many of the rank components of a LoRA or LoCon act (0 … rank); the scale stays.
using Dyn = std::optional<std::int64_t>;

// A module's tensors as stored, by the part names of formats/kind_table.
struct Module {
  std::string name;
  formats::AdapterKind kind = formats::AdapterKind::kLora;
  std::map<std::string, at::Tensor, std::less<>> parts;
  std::optional<float> alpha;
  std::int64_t rank = 0;  // where no tensor shows it: PEFT's settings; 0: not stated
  formats::PeftSettings settings = {};
  formats::EntryFacts facts = {};

  bool has(std::string_view part) const { return parts.find(part) != parts.end(); }
  at::Tensor at(std::string_view part) const;  // widened to float32; a missing part is a bug of ours
};

// Tensors over the entry's bytes; `owner` (the open file) is kept alive by them.
Module as_module(const formats::LoraEntry& entry, const std::shared_ptr<const void>& owner);

struct LayerShape {
  model::LayerKind kind = model::LayerKind::kLinear;
  std::vector<std::int64_t> sizes;  // of the weight

  std::int64_t out() const { return sizes[0]; }
  std::int64_t in() const { return sizes.size() > 1 ? sizes[1] : 1; }
  std::int64_t kernel_height() const { return sizes.size() > 2 ? sizes[2] : 1; }
  std::int64_t kernel_width() const { return sizes.size() > 3 ? sizes[3] : 1; }
  std::int64_t columns() const { return in() * kernel_height() * kernel_width(); }
};
LayerShape shape_of(const model::Layer& layer);

// A change of low rank: ΔW = scale · up·down, up [out, r] and down [r, in·kh·kw] after flattening, any float
// type.
struct Factors {
  at::Tensor down, up;
  double scale = 1;
};

struct Formula {
  // ΔW in the layer's shape, float32; empty when only the bias changes. `base` is the float32 weight to start
  // from: for `depends_on_base` the weight so far, for `takes_from_checkpoint` the checkpoint's own as it is
  // stored; others may be given an undefined tensor.
  std::function<at::Tensor(const at::Tensor& base, Dyn dyn)> weight = {};
  // For `takes_from_checkpoint`: does beforehand what the first `weight` of a base takes seconds for. From any thread.
  std::function<void(const at::Tensor& base)> prepare = {};
  at::Tensor bias = {};       // Δb [out] float32, undefined: none
  at::Tensor bias_gain = {};  // Δb = gain ∘ b [out] of a layer with a bias (PEFT's IA3), undefined: none
  at::Tensor whole_bias = {};  // [out] float32, Δb = whole_bias − the checkpoint's b (PEFT), undefined: none
  std::int64_t rank = 0;       // 0: a kind without a rank
  double scale = 1;
  bool depends_on_base =
      false;  // IA3, GLoRA, OFT, BOFT, DoRA …: order matters (spec: weight-dependent kinds)
  // PiSSA, OLoRA, KaSA: ΔW takes a part of the checkpoint's weight away, whatever else acts: a sum still.
  bool takes_from_checkpoint = false;
  std::optional<Factors> factors = {};  // plain LoRA and LoCon only
  std::vector<std::string> notes = {};  // odd but usable: "alpha is 0, so it has no effect"
};

// The shapes of a module, as formats/kind_shapes compares them with a layer.
formats::ModuleShapes shapes_of(const Module& module);
formats::LayerSizes sizes_of(const LayerShape& layer);

}  // namespace lowrank::adapter
