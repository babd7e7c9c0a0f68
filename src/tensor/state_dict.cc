#include "tensor/state_dict.h"

#include <ATen/ATen.h>

#include <cstring>
#include <optional>
#include <vector>

#include "base/error.h"
#include "weights/tensor_writer.h"

namespace lowrank::tensor {
namespace {

using weights::DType;

std::optional<at::ScalarType> scalar_type(DType dtype) {
  switch (dtype) {
    case DType::kBool:
      return at::kBool;
    case DType::kU8:
      return at::kByte;
    case DType::kI8:
      return at::kChar;
    case DType::kI16:
      return at::kShort;
    case DType::kI32:
      return at::kInt;
    case DType::kI64:
      return at::kLong;
    case DType::kF16:
      return at::kHalf;
    case DType::kBF16:
      return at::kBFloat16;
    case DType::kF32:
      return at::kFloat;
    case DType::kF64:
      return at::kDouble;
    case DType::kU16:
    case DType::kU32:
    case DType::kU64:
    case DType::kF8E4M3:
    case DType::kF8E5M2:
    case DType::kF8E4M3Fnuz:
    case DType::kF8E5M2Fnuz:
      return std::nullopt;
  }
  return std::nullopt;
}

DType dtype_of(const at::Tensor& tensor) {
  switch (tensor.scalar_type()) {
    case at::kBool:
      return DType::kBool;
    case at::kByte:
      return DType::kU8;
    case at::kChar:
      return DType::kI8;
    case at::kShort:
      return DType::kI16;
    case at::kInt:
      return DType::kI32;
    case at::kLong:
      return DType::kI64;
    case at::kHalf:
      return DType::kF16;
    case at::kBFloat16:
      return DType::kBF16;
    case at::kFloat:
      return DType::kF32;
    case at::kDouble:
      return DType::kF64;
    default:
      throw Error(kInternal, "a tensor of type {} cannot be written to safetensors.",
                  at::toString(tensor.scalar_type()));
  }
}

// Unsigned integers that ATen lacks, as wider ones: whoever wants numbers of a float type must see that these are none.
at::Tensor widened_integers(const weights::TensorView& view) {
  at::Tensor wide = at::empty(view.shape, at::kLong);
  const std::size_t item = weights::item_size(view.dtype);
  auto* const to = wide.data_ptr<std::int64_t>();
  for (std::int64_t i = 0; i < wide.numel(); ++i) {
    std::uint64_t value = 0;
    std::memcpy(&value, view.bytes.data() + static_cast<std::size_t>(i) * item, item);
    to[i] = static_cast<std::int64_t>(value);
  }
  return wide;
}

}  // namespace

at::Tensor as_tensor(const weights::TensorView& view, std::shared_ptr<const void> owner) {
  if (view.scaling != nullptr || (weights::is_float(view.dtype) && !scalar_type(view.dtype))) {
    at::Tensor wide = at::empty(view.shape, at::kFloat);
    weights::to_floats(view, {wide.data_ptr<float>(), static_cast<std::size_t>(wide.numel())});
    return wide;
  }
  const auto type = scalar_type(view.dtype);
  if (!type) return widened_integers(view);
  void* data = const_cast<std::byte*>(view.bytes.data());
  if (view.bytes.empty()) return at::empty(view.shape, at::TensorOptions(*type));
  if (reinterpret_cast<std::uintptr_t>(data) % weights::item_size(view.dtype) != 0) {
    at::Tensor copy = at::empty(view.shape, at::TensorOptions(*type));
    std::memcpy(copy.data_ptr(), data, view.bytes.size());
    return copy;
  }
  return at::from_blob(
      data, view.shape, [owner = std::move(owner)](void*) {}, at::TensorOptions(*type));
}

weights::TensorView as_view(const std::string& name, const at::Tensor& tensor) {
  LOWRANK_CHECK(tensor.is_contiguous() && tensor.device().is_cpu());
  return {
      .name = name,
      .dtype = dtype_of(tensor),
      .shape = tensor.sizes().vec(),
      .bytes = {static_cast<const std::byte*>(tensor.data_ptr()), static_cast<std::size_t>(tensor.nbytes())}};
}

void save_state_dict(const std::string& path, const StateDict& state,
                     const std::map<std::string, std::string>& metadata) {
  std::vector<at::Tensor> keep;
  std::vector<weights::TensorView> views;
  for (const auto& [name, tensor] : state) {
    keep.push_back(tensor.detach().to(at::kCPU).contiguous());
    views.push_back(as_view(name, keep.back()));
  }
  weights::write_safetensors(path, views, metadata);
}

}  // namespace lowrank::tensor
