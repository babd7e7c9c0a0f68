// Modules and layers made by hand for the tests of this room.
#pragma once

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "adapter/fit.h"
#include "adapter/formula.h"

namespace lowrank::adapter::testing {

using Parts = std::vector<std::pair<std::string, at::Tensor>>;

inline at::Tensor values(const std::vector<double>& numbers, at::IntArrayRef shape) {
  return at::tensor(numbers, at::kDouble).to(at::kFloat).reshape(shape);
}

inline Module make_module(formats::AdapterKind kind, const Parts& parts,
                          std::optional<float> alpha = std::nullopt) {
  Module module{.name = "test_module", .kind = kind, .parts = {}, .alpha = alpha};
  for (const auto& [name, tensor] : parts) module.parts.emplace(name, tensor);
  return module;
}

inline LayerShape layer_shape(std::vector<std::int64_t> sizes) {
  const auto kind = sizes.size() == 4   ? model::LayerKind::kConv2d
                    : sizes.size() == 2 ? model::LayerKind::kLinear
                                        : model::LayerKind::kLayerNorm;
  return {.kind = kind, .sizes = std::move(sizes)};
}

// The formula of a module that must fit; a failure with the reason when it does not.
inline Formula formula_of(const Module& module, const LayerShape& layer) {
  Fit result = fit(module, layer);
  if (const auto* misfit = std::get_if<Misfit>(&result)) {
    ADD_FAILURE() << "does not fit: " << misfit->reason;
    return {};
  }
  return std::get<Formula>(std::move(result));
}

inline std::string misfit_of(const Module& module, const LayerShape& layer) {
  const Fit result = fit(module, layer);
  const auto* misfit = std::get_if<Misfit>(&result);
  return misfit == nullptr ? "" : misfit->reason;
}

}  // namespace lowrank::adapter::testing
