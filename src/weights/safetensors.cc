#include "weights/safetensors.h"

#include <bit>
#include <cstring>
#include <utility>

#include "base/error.h"
#include "base/mapped_file.h"
#include "weights/safetensors_header.h"
#include "weights/scaled_numbers.h"
#include "weights/tensor_index.h"

namespace lowrank::weights {
namespace {

static_assert(std::endian::native == std::endian::little,
              "tensor bytes are used in the byte order of the file");

// Views of `index`, whose texts lie in `file`. Of a mapped file the pages that were read go on the way: a header of 100 MB
// would lie in memory beside its own copy.
std::vector<TensorView> views_of(const SafetensorsIndex& index, std::span<const std::byte> file,
                                 std::size_t data_offset, const MappedFile* mapped) {
  constexpr std::size_t kBetween = 1 << 16;
  std::vector<TensorView> views;
  views.reserve(index.tensors.size());
  for (const HeaderTensor& tensor : index.tensors) {
    views.push_back({.name = std::string(tensor.key),
                     .dtype = tensor.dtype,
                     .shape = {tensor.shape, tensor.shape + tensor.dimensions},
                     .bytes = file.subspan(data_offset + tensor.begin, tensor.end - tensor.begin)});
    if (mapped != nullptr && views.size() % kBetween == 0) release_pages(file.first(data_offset));
  }
  return views;
}

}  // namespace

SafetensorsHeader read_safetensors_header(std::span<const std::byte> file, const std::string& label,
                                          const MappedFile* mapped, std::size_t most) {
  if (file.size() < 8)
    throw Error(kBadInput,
                "{}: truncated: a safetensors file has at least 8 bytes, found {}; download it again.", label,
                file.size());
  std::uint64_t length = 0;
  std::memcpy(&length, file.data(), sizeof(length));
  length = checked_header_length(length, file.size(), label);
  SafetensorsHeader header;
  header.data_offset = static_cast<std::size_t>(length) + 8;
  SafetensorsIndex index = read_safetensors_index(
      {reinterpret_cast<const char*>(file.data()) + 8, static_cast<std::size_t>(length)},
      file.size() - header.data_offset, label);
  if (index.tensors.size() > most) {
    header.is_cut = true;
    index.notes.push_back(
        fmt::format("it has {} tensors, but only the first {} are read.", index.tensors.size(), most));
    index.tensors.resize(most);
  }
  constexpr std::size_t kLarge = 4 << 20;
  if (mapped != nullptr && header.data_offset > kLarge) release_pages(file.first(header.data_offset));
  header.tensors = views_of(index, file, header.data_offset, mapped);
  header.metadata = std::move(index.metadata);
  header.notes = std::move(index.notes);
  return header;
}

std::shared_ptr<const TensorFile> read_safetensors(const std::filesystem::path& path,
                                                   std::span<const std::byte> bytes,
                                                   std::shared_ptr<const void> owner,
                                                   std::shared_ptr<const MappedFile> mapped,
                                                   std::size_t most) {
  SafetensorsHeader header = read_safetensors_header(bytes, path.string(), mapped.get(), most);
  auto scales = apply_scales(header.tensors, header.notes);
  return std::make_shared<IndexedTensorFile>(IndexedTensorFile::Contents{
      .path = path,
      .container = Container::kSafetensors,
      .tensors = std::move(header.tensors),
      .scales = std::move(scales),
      .metadata = std::move(header.metadata),
      .notes = std::move(header.notes),
      .file_bytes = bytes,
      .data_offset = header.data_offset,
      .owner = std::move(owner),
      .storage = nullptr,
      .mapped = std::move(mapped),
      .is_cut = header.is_cut,
  });
}

}  // namespace lowrank::weights
