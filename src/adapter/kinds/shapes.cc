#include <ATen/ATen.h>

#include "adapter/kinds/kinds.h"

namespace lowrank::adapter::kinds {

std::int64_t size_at(const at::Tensor& tensor, std::int64_t dimension) {
  return dimension < tensor.dim() ? tensor.size(dimension) : 1;
}

at::Tensor flat(const at::Tensor& tensor) {
  return tensor.reshape({size_at(tensor, 0), -1});
}

at::Tensor tucker(const at::Tensor& up, const at::Tensor& mid, const at::Tensor& down) {
  const at::Tensor left = at::matmul(up, flat(mid));  // [out, r·kh·kw]
  const std::int64_t rank = mid.size(1), height = size_at(mid, 2), width = size_at(mid, 3);
  // [out, kh·kw, r]
  const at::Tensor by_rank = left.reshape({up.size(0), rank, height * width}).transpose(1, 2);
  return at::matmul(by_rank, down).transpose(1, 2).reshape({up.size(0), down.size(1), height, width});
}

}  // namespace lowrank::adapter::kinds
