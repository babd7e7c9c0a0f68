#include "weights/tensor_writer.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <nlohmann/json.hpp>

#include "base/atomic_file.h"
#include "base/checked.h"
#include "base/error.h"

namespace lowrank::weights {
namespace {

// The reference library's order: falling alignment, and within it the order of its own list of types.
constexpr std::array kWriteOrder = {
    DType::kU64,        DType::kI64,        DType::kF64, DType::kF32, DType::kU32,    DType::kI32,
    DType::kBF16,       DType::kF16,        DType::kU16, DType::kI16, DType::kF8E4M3, DType::kF8E5M2,
    DType::kF8E4M3Fnuz, DType::kF8E5M2Fnuz, DType::kI8,  DType::kU8,  DType::kBool};

std::ptrdiff_t write_rank(DType dtype) {
  return std::find(kWriteOrder.begin(), kWriteOrder.end(), dtype) - kWriteOrder.begin();
}

std::string quoted(const std::string& text, const std::filesystem::path& path) {
  try {
    return nlohmann::json(text).dump();
  } catch (const nlohmann::json::exception&) {
    throw Error(kBadInput, "{}: a name or metadata value is not UTF-8; rename it.", path.string());
  }
}

void check_tensor(const TensorView& view, const std::filesystem::path& path) {
  LOWRANK_CHECK(view.scaling == nullptr);  // its bytes alone are not its numbers
  const auto elements = checked_elements(view.shape);
  const auto bytes = elements ? checked_multiply(*elements, item_size(view.dtype)) : std::nullopt;
  if (!bytes || *bytes != view.bytes.size()) {
    throw Error(kBadInput, "{}: the data of tensor '{}' of type {} and shape {} does not have {} bytes.",
                path.string(), view.name, dtype_name(view.dtype), shape_text(view.shape), view.bytes.size());
  }
  if (view.name == "__metadata__")
    throw Error(kBadInput, "{}: no tensor may be named __metadata__; rename it.", path.string());
}

std::string header_text(const std::vector<const TensorView*>& ordered,
                        const std::map<std::string, std::string>& metadata,
                        const std::filesystem::path& path) {
  std::string text = "{";
  const auto separate = [&] {
    if (text.size() > 1) text += ',';
  };
  if (!metadata.empty()) {
    text += "\"__metadata__\":{";
    bool first = true;
    for (const auto& [key, value] : metadata) {
      if (!first) text += ',';
      first = false;
      text += quoted(key, path) + ':' + quoted(value, path);
    }
    text += '}';
  }
  std::size_t at = 0;
  for (const TensorView* view : ordered) {
    separate();
    fmt::format_to(std::back_inserter(text), "{}:{{\"dtype\":\"{}\",\"shape\":[", quoted(view->name, path),
                   dtype_name(view->dtype));
    for (std::size_t i = 0; i < view->shape.size(); ++i)
      fmt::format_to(std::back_inserter(text), "{}{}", i == 0 ? "" : ",", view->shape[i]);
    fmt::format_to(std::back_inserter(text), "],\"data_offsets\":[{},{}]}}", at, at + view->bytes.size());
    at += view->bytes.size();
  }
  text += '}';
  text.append((8 - text.size() % 8) % 8, ' ');
  return text;
}

}  // namespace

void write_safetensors(const std::filesystem::path& path, std::span<const TensorView> tensors,
                       const std::map<std::string, std::string>& metadata) {
  std::vector<const TensorView*> ordered;
  ordered.reserve(tensors.size());
  for (const TensorView& view : tensors) {
    check_tensor(view, path);
    ordered.push_back(&view);
  }
  std::sort(ordered.begin(), ordered.end(),
            [](const TensorView* a, const TensorView* b) { return a->name < b->name; });
  const auto twin =
      std::adjacent_find(ordered.begin(), ordered.end(),
                         [](const TensorView* a, const TensorView* b) { return a->name == b->name; });
  if (twin != ordered.end())
    throw Error(kBadInput, "{}: two tensors are named '{}'; rename one.", path.string(), (*twin)->name);
  std::stable_sort(ordered.begin(), ordered.end(), [](const TensorView* a, const TensorView* b) {
    return write_rank(a->dtype) < write_rank(b->dtype);
  });

  const std::string header = header_text(ordered, metadata, path);
  const std::uint64_t length = header.size();
  std::array<std::byte, 8> prefix{};
  std::memcpy(prefix.data(), &length, sizeof(length));
  AtomicFile file(path);
  file.write(prefix);
  file.write(header);
  for (const TensorView* view : ordered) file.write(view->bytes);
  file.commit();
}

}  // namespace lowrank::weights
