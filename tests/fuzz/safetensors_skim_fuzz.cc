// Any text is the header of a safetensors file. What the quick look takes from it lies inside the text, and where the
// strict reader accepts the file, both say the same.
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "formats/safetensors_skim.h"
#include "weights/safetensors.h"

namespace {

using namespace lowrank;

// Enough for any tensor that an input of a few kilobytes describes on purpose.
constexpr std::int64_t kMaxData = 1 << 20;

void check_bounds(std::string_view text, const formats::SkimmedHeader& header) {
  const auto lies_inside = [&](std::string_view part) {
    return part.empty() ||
           (part.data() >= text.data() && part.data() + part.size() <= text.data() + text.size());
  };
  LOWRANK_CHECK(lies_inside(header.metadata));
  for (const auto& tensor : header.tensors) {
    LOWRANK_CHECK(lies_inside(tensor.key));
    LOWRANK_CHECK(tensor.dimensions >= 0 && tensor.dimensions <= 8);
    LOWRANK_CHECK(0 <= tensor.begin && tensor.begin <= tensor.end && tensor.end <= header.data_bytes);
    for (const auto size : tensor.shape) LOWRANK_CHECK(size >= 0);
  }
}

void compare_with_the_strict_reader(std::string_view text, const formats::SkimmedHeader& header) {
  std::vector<std::byte> bytes(8 + text.size() + static_cast<std::size_t>(header.data_bytes));
  const std::uint64_t length = text.size();
  std::memcpy(bytes.data(), &length, 8);
  std::memcpy(bytes.data() + 8, text.data(), text.size());
  try {
    const auto file = weights::read_safetensors("input", bytes, nullptr);
    LOWRANK_CHECK(file->tensors().size() == header.tensors.size());
    for (const auto& skimmed : header.tensors) {
      const auto* view = file->find(std::string(skimmed.key));
      LOWRANK_CHECK(view != nullptr && static_cast<int>(view->shape.size()) == skimmed.dimensions);
      for (std::size_t i = 0; i < view->shape.size(); ++i) LOWRANK_CHECK(view->shape[i] == skimmed.shape[i]);
      LOWRANK_CHECK(static_cast<std::int64_t>(view->bytes.size()) == skimmed.end - skimmed.begin);
      if (!view->bytes.empty())
        LOWRANK_CHECK(view->bytes.data() == bytes.data() + file->data_offset() + skimmed.begin);
    }
  } catch (const Error& error) {
    if (error.code() == kInternal) throw;
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const auto header = formats::skim_safetensors(text);
  if (!header) return 0;
  check_bounds(text, *header);
  if (header->data_bytes <= kMaxData) compare_with_the_strict_reader(text, *header);
  return 0;
}
