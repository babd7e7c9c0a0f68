#include "weights/tensor_index.h"

#include <algorithm>
#include <functional>
#include <utility>

#include "base/error.h"
#include "base/mapped_file.h"
#include "base/sha256.h"

namespace lowrank::weights {
namespace {

// A safetensors header, or as much of a file as tells it from another of the same size.
std::size_t head_size(std::size_t data_offset, std::size_t file_size) {
  constexpr std::size_t kLeast = 1 << 16, kMost = 1 << 20;
  return std::min(file_size, std::clamp(data_offset, kLeast, kMost));
}

}  // namespace

IndexedTensorFile::IndexedTensorFile(Contents contents) : contents_(std::move(contents)) {
  places_.reserve(contents_.tensors.size());
  for (const TensorView& view : contents_.tensors)
    places_.emplace_back(std::hash<std::string_view>{}(view.name),
                         static_cast<std::uint32_t>(places_.size()));
  std::ranges::sort(places_);
  if (contents_.mapped)
    head_digest_ =
        sha256_hex(contents_.file_bytes.first(head_size(contents_.data_offset, contents_.file_bytes.size())));
}

const TensorView* IndexedTensorFile::find(std::string_view name) const {
  const std::size_t hash = std::hash<std::string_view>{}(name);
  for (auto it = std::ranges::lower_bound(places_, std::pair(hash, std::uint32_t{0}));
       it != places_.end() && it->first == hash; ++it) {
    if (contents_.tensors[it->second].name == name) return &contents_.tensors[it->second];
  }
  return nullptr;
}

bool IndexedTensorFile::holds(std::string_view key) const {
  return find(key) != nullptr || std::ranges::find(contents_.scales, key) != contents_.scales.end();
}

FileIdentity IndexedTensorFile::identity() const {
  return contents_.mapped ? contents_.mapped->identity() : FileIdentity{};
}

bool IndexedTensorFile::is_current() const {
  if (!contents_.mapped) return true;
  if (!contents_.mapped->is_current()) return false;
  try {
    const OpenFile file(contents_.path);
    std::vector<std::byte> head(head_size(contents_.data_offset, contents_.file_bytes.size()));
    head.resize(file.read(head.data(), head.size(), 0));
    return sha256_hex(head) == head_digest_;
  } catch (const Error&) {
    return false;  // it can be read no more
  }
}

void IndexedTensorFile::require_unchanged() const {
  if (contents_.mapped) contents_.mapped->require_unchanged();
}

}  // namespace lowrank::weights
