#include "training/data/random_draws.h"

#include <ATen/ATen.h>

namespace lowrank::training {

double draw_unit(const at::Generator& generator) {
  return at::rand({1}, generator, at::TensorOptions(at::kDouble)).item<double>();
}

std::int64_t draw_below(std::int64_t end, const at::Generator& generator) {
  return at::randint(0, end, {1}, generator, at::TensorOptions(at::kLong)).item<std::int64_t>();
}

}  // namespace lowrank::training
