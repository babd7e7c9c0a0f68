#include "training/optim/factored_moment.h"

#include <ATen/ATen.h>

#include <cmath>

namespace lowrank::training {

bool is_factored(const at::Tensor& parameter) {
  return parameter.dim() >= 2;
}

at::Tensor row_zeros(const at::Tensor& parameter) {
  auto sizes = parameter.sizes().vec();
  sizes.pop_back();
  return at::zeros(sizes, at::TensorOptions(at::kFloat));
}

at::Tensor column_zeros(const at::Tensor& parameter) {
  auto sizes = parameter.sizes().vec();
  sizes.erase(sizes.end() - 2);
  return at::zeros(sizes, at::TensorOptions(at::kFloat));
}

void move_factors(at::Tensor& row, at::Tensor& column, const at::Tensor& x, double beta) {
  row.mul_(beta).add_(x.mean(-1), 1 - beta);
  column.mul_(beta).add_(x.mean(-2), 1 - beta);
}

at::Tensor inverse_root(const at::Tensor& row, const at::Tensor& column) {
  const at::Tensor rows = (row / row.mean(-1, true)).rsqrt().unsqueeze(-1);
  return rows * column.rsqrt().unsqueeze(-2);
}

double rms(const at::Tensor& x) {
  return x.norm().item<double>() / std::sqrt(static_cast<double>(x.numel()));
}

}  // namespace lowrank::training
