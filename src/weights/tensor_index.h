// What every container becomes once it is read: the list of its tensors with an index by name.
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "weights/tensor_file.h"

namespace lowrank {
class MappedFile;
}

namespace lowrank::weights {

constexpr std::size_t kMaxKeyBytes = 4096;  // of a tensor's name

class IndexedTensorFile : public TensorFile {
 public:
  struct Contents {
    std::filesystem::path path;
    Container container = Container::kSafetensors;
    std::vector<TensorView> tensors;  // names are unique
    std::vector<std::string>
        scales;  // keys that belong to the numbers of other tensors, see scaled_numbers.h
    std::map<std::string, std::string> metadata;
    std::vector<std::string> notes;
    std::span<const std::byte> file_bytes;
    std::size_t data_offset = 0;
    std::shared_ptr<const void> owner;    // of file_bytes; null when the caller owns them
    std::shared_ptr<const void> storage;  // of bytes that had to be rearranged (strided tensors of a pickle)
    std::shared_ptr<const MappedFile> mapped;  // where file_bytes lie; null: in memory
    bool is_cut = false;
  };

  explicit IndexedTensorFile(Contents contents);

  const std::filesystem::path& path() const override { return contents_.path; }
  Container container() const override { return contents_.container; }
  std::span<const TensorView> tensors() const override { return contents_.tensors; }
  const TensorView* find(std::string_view name) const override;
  bool holds(std::string_view key) const override;
  bool is_cut() const override { return contents_.is_cut; }
  const std::map<std::string, std::string>& metadata() const override { return contents_.metadata; }
  std::span<const std::string> notes() const override { return contents_.notes; }
  std::span<const std::byte> file_bytes() const override { return contents_.file_bytes; }
  std::size_t data_offset() const override { return contents_.data_offset; }
  FileIdentity identity() const override;
  bool is_current() const override;
  void require_unchanged() const override;

 private:
  Contents contents_;
  std::vector<std::pair<std::size_t, std::uint32_t>>
      places_;               // hash of the name and place in tensors, sorted
  std::string head_digest_;  // of the file's first bytes, for file systems with coarse times
};

}  // namespace lowrank::weights
