// A file of named tensors, mapped and proven to lie in bounds before anything is handed out: safetensors, or
// a PyTorch pickle (.ckpt, .pt, .pth, .bin) read without executing anything.
#pragma once

#include <filesystem>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/file_identity.h"
#include "weights/tensor_view.h"

namespace lowrank::weights {

enum class Container { kSafetensors, kPickle };

class TensorFile {
 public:
  // Recognises the container by its first bytes. Throws Error naming the file, the broken rule and the key.
  // `most`: the tensors to be handed out; a safetensors file that has more is checked as a whole, its first ones are read
  // and is_cut() is true.
  static constexpr std::size_t kAll = std::size_t(-1);
  static std::shared_ptr<const TensorFile> open(const std::filesystem::path& path, std::size_t most = kAll);
  // The same for bytes in memory; `path` names them. `owner` keeps them alive and may be null when the caller
  // does.
  static std::shared_ptr<const TensorFile> read(const std::filesystem::path& path,
                                                std::span<const std::byte> bytes,
                                                std::shared_ptr<const void> owner);
  virtual ~TensorFile() = default;

  virtual const std::filesystem::path& path() const = 0;
  virtual Container container() const = 0;
  // In file order of their data (safetensors) or of the dictionary (pickle).
  virtual std::span<const TensorView> tensors() const = 0;
  virtual const TensorView* find(std::string_view name) const = 0;
  // Whether the file has this key, be it of a tensor or of the scale of one (TensorView::scaling).
  virtual bool holds(std::string_view key) const = 0;
  virtual bool is_cut() const = 0;
  // `__metadata__` of a safetensors file; empty for others.
  virtual const std::map<std::string, std::string>& metadata() const = 0;
  // What the reader left out and why (entries of a pickle that are no tensors …) and what is odd, one sentence each.
  virtual std::span<const std::string> notes() const = 0;
  // The bytes of the whole file, and the offset at which tensor data begin (8 + N; 0 for a pickle).
  virtual std::span<const std::byte> file_bytes() const = 0;
  virtual std::size_t data_offset() const = 0;

  // The file when it was opened; of bytes in memory none.
  virtual FileIdentity identity() const = 0;
  // Whether the path still leads to what was opened. False: open it anew.
  virtual bool is_current() const = 0;
  // After work on the bytes: throws Error(kConflict) when somebody wrote to the file meanwhile (mapped_file.h).
  virtual void require_unchanged() const = 0;
};

}  // namespace lowrank::weights
