#include "weights/tensor_file.h"

#include <string_view>
#include <utility>

#include "base/error.h"
#include "base/mapped_file.h"
#include "weights/pickle/reader.h"
#include "weights/safetensors.h"
#include "weights/safetensors_header.h"

namespace lowrank::weights {
namespace {

// What often lies under a model's name after a download that went wrong.
void refuse_wrong_downloads(const std::filesystem::path& path, std::string_view text) {
  if (text.starts_with("version https://git-lfs")) {
    throw Error(kBadInput,
                "{}: is only the git-lfs pointer of a model; download the file itself (git lfs pull).",
                path.string());
  }
  if (text.starts_with("<!") || text.starts_with("<html"))
    throw Error(kBadInput, "{}: is a web page, not a model; download the file itself.", path.string());
  if (text.starts_with("GGUF"))
    throw Error(kUnsupported, "{}: is a quantised GGUF file; download the model as .safetensors in 16 bits.",
                path.string());
}

std::shared_ptr<const TensorFile> read_container(const std::filesystem::path& path,
                                                 std::span<const std::byte> bytes,
                                                 std::shared_ptr<const void> owner,
                                                 std::shared_ptr<const MappedFile> mapped,
                                                 std::size_t most = TensorFile::kAll) {
  refuse_wrong_downloads(path, {reinterpret_cast<const char*>(bytes.data()), bytes.size()});
  // A safetensors file may begin like a pickle (its length is any number), but no pickle has a brace in this place.
  const bool is_safetensors = looks_like_safetensors(bytes, bytes.size());
  if (!is_safetensors && looks_like_pickle(bytes))
    return read_pickle(path, bytes, std::move(owner), std::move(mapped));
  if (!is_safetensors && path.extension() != ".safetensors") {
    throw Error(kBadInput, "{}: is neither a safetensors file nor a PyTorch file; check what it is.",
                path.string());
  }
  return read_safetensors(path, bytes, std::move(owner), std::move(mapped), most);
}

}  // namespace

std::shared_ptr<const TensorFile> TensorFile::open(const std::filesystem::path& path, std::size_t most) {
  auto mapped = MappedFile::open(path);
  auto file = read_container(path, mapped->bytes(), mapped, mapped, most);
  mapped->require_unchanged();
  return file;
}

std::shared_ptr<const TensorFile> TensorFile::read(const std::filesystem::path& path,
                                                   std::span<const std::byte> bytes,
                                                   std::shared_ptr<const void> owner) {
  return read_container(path, bytes, std::move(owner), nullptr);
}

}  // namespace lowrank::weights
