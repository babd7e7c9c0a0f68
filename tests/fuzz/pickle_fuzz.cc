// Any bytes are a PyTorch file: reading must end in tensors whose bytes can all be read, or in an Error.
#include <cstddef>
#include <cstdint>
#include <span>

#include "base/error.h"
#include "weights/pickle/machine.h"
#include "weights/pickle/reader.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace lowrank;
  const auto bytes = std::as_bytes(std::span(data, size));
  try {
    const auto file = weights::read_pickle("input", bytes, nullptr);
    for (const auto& view : file->tensors()) {
      LOWRANK_CHECK(static_cast<std::size_t>(view.elements()) * weights::item_size(view.dtype) ==
                    view.bytes.size());
      LOWRANK_CHECK(file->find(view.name) == &view);
      weights::to_floats(view);
    }
  } catch (const Error& error) {
    if (error.code() == kInternal) throw;
  }
  // The machine alone, so that a fuzzer need not get an archive right first.
  try {
    const auto pickle = weights::run_pickle(bytes, "input");
    LOWRANK_CHECK(pickle.consumed <= size);
    weights::describe_value(pickle.top, pickle);
  } catch (const Error& error) {
    if (error.code() == kInternal) throw;
  }
  return 0;
}
