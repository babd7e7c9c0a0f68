// The border between bytes and tensors: named parameters as ATen tensors over the bytes of mapped files. Nothing is
// copied unless the bytes are misaligned for their type, of a type that ATen lacks (F8: widened to float32; U16, U32, U64: to
// int64), or to be multiplied by their scales (float32).
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <map>
#include <memory>
#include <string>

#include "weights/tensor_file.h"
#include "weights/tensor_view.h"

namespace lowrank::tensor {

// Parameter name → tensor. The tensors of a mapped checkpoint must never be written: their pages are read-only.
using StateDict = std::map<std::string, at::Tensor, std::less<>>;

// A tensor over the view's bytes, of the view's dtype and shape. `owner` is kept alive as long as the tensor.
at::Tensor as_tensor(const weights::TensorView& view, std::shared_ptr<const void> owner);

// A view of a contiguous CPU tensor for a writer. The tensor must outlive the view.
weights::TensorView as_view(const std::string& name, const at::Tensor& tensor);

template <typename Views>
StateDict as_state_dict(const Views& views, const std::shared_ptr<const void>& owner) {
  StateDict state;
  for (const auto& [name, view] : views) state.emplace(name, as_tensor(view, owner));
  return state;
}

// Writes named tensors as safetensors, atomically.
void save_state_dict(const std::string& path, const StateDict& state,
                     const std::map<std::string, std::string>& metadata = {});

}  // namespace lowrank::tensor
