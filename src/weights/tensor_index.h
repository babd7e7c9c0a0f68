// What every container becomes once it is read: the list of its tensors with an index by name.
#pragma once

#include <filesystem>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "weights/tensor_file.h"

namespace lowrank::weights {

constexpr std::size_t kMaxKeyBytes = 4096;  // of a tensor's name

class IndexedTensorFile : public TensorFile {
 public:
  struct Contents {
    std::filesystem::path path;
    Container container = Container::kSafetensors;
    std::vector<TensorView> tensors;  // names are unique
    std::map<std::string, std::string> metadata;
    std::vector<std::string> notes;
    std::span<const std::byte> file_bytes;
    std::size_t data_offset = 0;
    std::shared_ptr<const void> owner;    // of file_bytes; null when the caller owns them
    std::shared_ptr<const void> storage;  // of bytes that had to be rearranged (strided tensors of a pickle)
  };

  explicit IndexedTensorFile(Contents contents);

  const std::filesystem::path& path() const override { return contents_.path; }
  Container container() const override { return contents_.container; }
  std::span<const TensorView> tensors() const override { return contents_.tensors; }
  const TensorView* find(std::string_view name) const override;
  const std::map<std::string, std::string>& metadata() const override { return contents_.metadata; }
  std::span<const std::string> notes() const override { return contents_.notes; }
  std::span<const std::byte> file_bytes() const override { return contents_.file_bytes; }
  std::size_t data_offset() const override { return contents_.data_offset; }

 private:
  Contents contents_;
  std::unordered_map<std::string_view, std::size_t> places_;  // keys view into contents_.tensors
};

}  // namespace lowrank::weights
