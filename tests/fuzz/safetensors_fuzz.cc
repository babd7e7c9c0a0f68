// Any bytes are a safetensors file: reading must end in a proof that every tensor lies inside them, or in an
// Error.
#include <cstddef>
#include <cstdint>
#include <span>

#include "base/error.h"
#include "weights/safetensors.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace lowrank;
  const auto bytes = std::as_bytes(std::span(data, size));
  try {
    const auto file = weights::read_safetensors("input", bytes, nullptr);
    std::size_t expected = file->data_offset();
    for (const auto& view : file->tensors()) {
      if (file->notes().empty()) LOWRANK_CHECK(view.bytes.data() == bytes.data() + expected);
      LOWRANK_CHECK(static_cast<std::size_t>(view.elements()) * weights::item_size(view.dtype) ==
                    view.bytes.size());
      LOWRANK_CHECK(file->find(view.name) == &view);
      expected += view.bytes.size();
      weights::to_floats(view);
    }
    if (file->notes().empty()) LOWRANK_CHECK(expected == size);
  } catch (const Error& error) {
    if (error.code() == kInternal) throw;
  }
  return 0;
}
