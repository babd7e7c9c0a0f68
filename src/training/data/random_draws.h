// Single draws from a generator of ATen.
#pragma once

#include <ATen/core/Generator.h>

#include <cstdint>

namespace lowrank::training {

double draw_unit(const at::Generator& generator);                           // 0 ≤ x < 1
std::int64_t draw_below(std::int64_t end, const at::Generator& generator);  // 0 … end − 1; end > 0

}  // namespace lowrank::training
