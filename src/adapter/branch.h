// Low-rank changes of one layer, computed beside it at run time: y += up·(down·x). Several LoRAs of one layer
// are one branch, their factors concatenated.
#pragma once

#include <ATen/core/Tensor.h>

#include <memory>
#include <span>

#include "adapter/formula.h"
#include "model/layer.h"

namespace lowrank::adapter {

struct WeightedFactors {
  const Factors* factors = nullptr;
  double weight = 1;
  Dyn dyn;
};

// Rank that takes part: `dyn` components at most.
std::int64_t active_rank(const Factors& factors, Dyn dyn);

class LowRankBranch final : public model::LayerPatch {
 public:
  // For a linear or convolution layer; scale and weight are folded into `up`. Factors are copied, in float32.
  LowRankBranch(const model::Layer& layer, std::span<const WeightedFactors> changes);
  at::Tensor add_to(at::Tensor y, const at::Tensor& x) const override;
  const model::ops::LowRank* low_rank() const override { return &factors_; }

 private:
  bool is_convolution_;
  model::LayerGeometry geometry_;
  model::ops::LowRank factors_;
};

}  // namespace lowrank::adapter
