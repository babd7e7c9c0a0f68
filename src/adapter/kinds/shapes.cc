#include <ATen/ATen.h>
#include <fmt/format.h>
#include <fmt/ranges.h>

#include "adapter/kinds/kinds.h"

namespace lowrank::adapter::kinds {
namespace {

std::vector<std::int64_t> without_trailing_ones(at::IntArrayRef sizes) {
  std::vector<std::int64_t> kept = sizes.vec();
  while (kept.size() > 2 && kept.back() == 1) kept.pop_back();
  return kept;
}

}  // namespace

std::string sizes_text(at::IntArrayRef sizes) {
  return fmt::format("[{}]", fmt::join(sizes, ", "));
}

std::int64_t size_at(const at::Tensor& tensor, std::int64_t dimension) {
  return dimension < tensor.dim() ? tensor.size(dimension) : 1;
}

at::Tensor flat(const at::Tensor& tensor) {
  return tensor.reshape({size_at(tensor, 0), -1});
}

at::Tensor tucker(const at::Tensor& up, const at::Tensor& mid, const at::Tensor& down) {
  const at::Tensor left = at::matmul(up, flat(mid));  // [out, r·kh·kw]
  const std::int64_t rank = mid.size(1), height = size_at(mid, 2), width = size_at(mid, 3);
  const at::Tensor by_rank =
      left.reshape({up.size(0), rank, height * width}).transpose(1, 2);  // [out, kh·kw, r]
  return at::matmul(by_rank, down).transpose(1, 2).reshape({up.size(0), down.size(1), height, width});
}

ShapeCheck& ShapeCheck::part(std::string_view name, std::initializer_list<std::int64_t> wanted) {
  if (!ok()) return *this;
  const at::IntArrayRef have = module_.parts.find(name)->second.sizes();
  const at::IntArrayRef need(wanted.begin(), wanted.size());
  if (without_trailing_ones(have) != without_trailing_ones(need)) {
    reason_ = fmt::format("{} is {}, the layer {} needs {}", name, sizes_text(have), sizes_text(layer_.sizes),
                          sizes_text(without_trailing_ones(need)));
  }
  return *this;
}

}  // namespace lowrank::adapter::kinds
