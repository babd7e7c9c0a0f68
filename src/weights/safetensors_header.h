// The header of a safetensors file, read once and checked completely, by the one reader of the program: what looks
// through a collection and what loads a file say the same of it. Names stay where they lie in the text, so a header of a
// million tensors takes 50 MB. Source: the format's description at github.com/huggingface/safetensors, and what its
// library 0.8 accepts.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <filesystem>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "weights/tensor_view.h"

namespace lowrank::weights {

struct HeaderTensor {
  std::string_view key;              // into the text, or into SafetensorsIndex::unescaped
  std::uint64_t begin = 0, end = 0;  // of its bytes, from the end of the header
  const std::int64_t* shape = nullptr;
  std::uint8_t dimensions = 0;
  bool is_foreign = false;  // never in SafetensorsIndex::tensors
  DType dtype = DType::kF32;
};

// Shapes one behind the other, in blocks that stay where they are.
class ShapePool {
 public:
  static constexpr std::size_t kLongest = 8;
  std::int64_t* room();  // for kLongest numbers
  void keep(std::size_t count) { used_ += count; }

 private:
  static constexpr std::size_t kBlock = std::size_t{1} << 16;
  std::vector<std::unique_ptr<std::int64_t[]>> blocks_;
  std::size_t used_ = kBlock;
};

struct SafetensorsIndex {
  std::vector<HeaderTensor> tensors;  // in the order of their data
  std::map<std::string, std::string> metadata;
  // One sentence each: tensors of a known type that LowRank cannot use, which are left out of `tensors`, and what is odd
  // about the header without harm to its tensors.
  std::vector<std::string> notes;

  ShapePool shapes;                   // behind HeaderTensor::shape
  std::deque<std::string> unescaped;  // names with escapes
};

// `text` is the JSON header, `data_bytes` what follows it; `label` names the file in errors. Throws Error(kBadInput)
// naming the broken rule and the key.
SafetensorsIndex read_safetensors_index(std::string_view text, std::uint64_t data_bytes,
                                        const std::string& label);

// The header's length as the file's first eight bytes state it. Throws when the file of `file_size` cannot hold it.
std::uint64_t checked_header_length(std::uint64_t stated, std::uint64_t file_size, const std::string& label);

// Only `__metadata__`, without a look at the tensors; empty when there is none or the header is broken before it ends.
std::map<std::string, std::string> read_safetensors_metadata(std::string_view text);

// The header of the file at `path` in memory of its own, so that thousands of files can be looked through without mapping
// one; nullopt when the file does not begin like a safetensors file. Throws Error as OpenFile and checked_header_length do.
struct HeaderText {
  std::string text;
  std::uint64_t data_bytes = 0;
};
std::optional<HeaderText> read_header_text(const std::filesystem::path& path);

// Whether a file beginning like this is a safetensors file, sound or not: behind the length stands a brace, blanks before
// it allowed.
bool looks_like_safetensors(std::span<const std::byte> begin, std::uint64_t file_size);

}  // namespace lowrank::weights
