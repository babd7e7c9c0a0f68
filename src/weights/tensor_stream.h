// A safetensors file written tensor by tensor, in the reference library's order (dtype by falling alignment, then key), so
// that no more than one tensor need be in memory and equal contents give equal bytes. The file appears whole or not at all.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <map>
#include <span>
#include <string>
#include <vector>

#include "base/atomic_file.h"
#include "weights/tensor_view.h"

namespace lowrank::weights {

struct PlannedTensor {
  std::string name;
  DType dtype = DType::kF32;
  Shape shape;

  // Throws Error(kBadInput) naming the tensor when the shape is negative or beyond counting.
  std::uint64_t bytes() const;
};

// In which order the tensors must be written, as places in `tensors`. Throws Error(kBadInput) naming `path` for a repeated
// name or one that no tensor may have.
std::vector<std::size_t> written_order(std::span<const PlannedTensor> tensors,
                                       const std::filesystem::path& path);

// The file's first eight bytes and its header. Throws Error(kBadInput) for text that is not UTF-8.
std::string file_head(std::span<const PlannedTensor> tensors, std::span<const std::size_t> order,
                      const std::map<std::string, std::string>& metadata, const std::filesystem::path& path);

class TensorStream {
 public:
  // Throws as the functions above, and Error(kIo) where the file cannot be made.
  TensorStream(std::filesystem::path path, std::vector<PlannedTensor> tensors,
               const std::map<std::string, std::string>& metadata = {});

  std::span<const PlannedTensor> tensors() const { return tensors_; }
  // Places in tensors(): the tensors are to be written in this order.
  std::span<const std::size_t> order() const { return order_; }
  std::uint64_t size() const;  // of the whole file in bytes

  // All bytes of the next tensor. Throws Error(kIo) on failure.
  void write(std::span<const std::byte> bytes);

  // After the last tensor. `metadata`: other values in place of those known at first, each as long as it was.
  void commit() { file_.commit(); }
  void commit(const std::map<std::string, std::string>& metadata);

 private:
  std::filesystem::path path_;
  std::vector<PlannedTensor> tensors_;
  std::vector<std::size_t> order_;
  std::size_t head_bytes_ = 0;
  std::size_t written_ = 0;  // tensors so far
  AtomicFile file_;
};

}  // namespace lowrank::weights
