// The second moment of a matrix from the means of its rows and columns (Shazeer & Stern 2018, arXiv:1804.04235): what
// Adafactor and CAME keep. Tensors of more dimensions are stacks of matrices, their last two dimensions; vectors are
// kept whole.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>

namespace lowrank::training {

bool is_factored(const at::Tensor& parameter);
at::Tensor row_zeros(const at::Tensor& parameter);     // [… , n] of [… , n, m]
at::Tensor column_zeros(const at::Tensor& parameter);  // [… , m]

// row ← β row + (1−β) mean(x) over columns; column alike over rows. x: non-negative, of the parameter's shape.
void move_factors(at::Tensor& row, at::Tensor& column, const at::Tensor& x, double beta);
// 1 / √(row · column / mean(row)), of the parameter's shape.
at::Tensor inverse_root(const at::Tensor& row, const at::Tensor& column);

// Root mean square.
double rms(const at::Tensor& x);

}  // namespace lowrank::training
