// Reads the safetensors container: an 8-byte length, a JSON header, then the tensors' bytes. Everything the
// header says is checked before anything is handed out (safetensors_header.h): no overlap, no hole, no byte outside the
// file. Only the header is touched, so a file of gigabytes opens in milliseconds.
#pragma once

#include <cstddef>
#include <filesystem>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "weights/tensor_file.h"

namespace lowrank {
class MappedFile;
}

namespace lowrank::weights {

struct SafetensorsHeader {
  std::size_t data_offset = 0;      // 8 + length of the header
  std::vector<TensorView> tensors;  // in the order of their data; the bytes lie in the span that was read
  std::map<std::string, std::string> metadata;
  std::vector<std::string> notes;  // as SafetensorsIndex has them
  bool is_cut = false;             // see TensorFile::open
};

// `file` is the whole file; `label` names it in errors. Throws Error(kBadInput) naming the broken rule and
// the key. `mapped`: where `file` lies, if it is mapped.
SafetensorsHeader read_safetensors_header(std::span<const std::byte> file, const std::string& label,
                                          const MappedFile* mapped = nullptr,
                                          std::size_t most = TensorFile::kAll);

// The file at `path` as a TensorFile. `owner` keeps `bytes` alive and may be null when the caller does.
std::shared_ptr<const TensorFile> read_safetensors(const std::filesystem::path& path,
                                                   std::span<const std::byte> bytes,
                                                   std::shared_ptr<const void> owner,
                                                   std::shared_ptr<const MappedFile> mapped = nullptr,
                                                   std::size_t most = TensorFile::kAll);

}  // namespace lowrank::weights
