// What several adapters do to one layer together, and how it is written: exactly as factors or as a whole difference, or
// reduced to a rank.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "edit/low_rank.h"
#include "edit/output.h"
#include "edit/source.h"

namespace lowrank::edit {

struct WeightedModule {
  const Source* source = nullptr;
  const SourceModule* module = nullptr;
  double weight = 1;
  adapter::Dyn dyn = {};
};

// The change of the layer's weight, float32 in its shape: additive kinds first, then those that depend on the weight in
// their order, each on the result so far, as the prompt's tags act. `base` as stored; undefined where nothing needs it.
// Undefined: only the bias changes.
at::Tensor weight_change(std::span<const WeightedModule> parts, const at::Tensor& base);

// The same of the bias, float32 [out]; undefined: none.
at::Tensor bias_change(std::span<const WeightedModule> parts, const at::Tensor& base_bias);
bool changes_bias(std::span<const WeightedModule> parts);

// The product that the parts are together, of their exact forms: factors side by side, every up times its weight over that
// of the first, which is the scale of the sum. nullopt: a part has no such form.
struct Joined {
  std::int64_t rank = 0;
  double scale = 1;
  bool is_exact = true;  // in float16 and bfloat16 too: the weights are powers of two of one another
  std::function<Pair()> make;
};
std::optional<Joined> joined(std::span<const WeightedModule> parts);

// Names the layer in what goes wrong while its tensors are made.
std::function<std::vector<at::Tensor>()> named(std::string layer,
                                               std::function<std::vector<at::Tensor>()> make);

}  // namespace lowrank::edit
