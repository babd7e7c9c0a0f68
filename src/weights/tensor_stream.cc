#include "weights/tensor_stream.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <nlohmann/json.hpp>
#include <numeric>
#include <utility>

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

}  // namespace

std::uint64_t PlannedTensor::bytes() const {
  const auto elements = checked_elements(shape);
  const auto size = elements ? checked_multiply(*elements, item_size(dtype)) : std::nullopt;
  if (!size)
    throw Error(kBadInput, "the tensor '{}' of shape {} is beyond all measure.", name, shape_text(shape));
  return *size;
}

std::vector<std::size_t> written_order(std::span<const PlannedTensor> tensors,
                                       const std::filesystem::path& path) {
  std::vector<std::size_t> order(tensors.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::ranges::sort(order, {}, [&](std::size_t i) -> const std::string& { return tensors[i].name; });
  for (std::size_t i = 0; i < order.size(); ++i) {
    const std::string& name = tensors[order[i]].name;
    if (name == "__metadata__")
      throw Error(kBadInput, "{}: no tensor may be named __metadata__; rename it.", path.string());
    if (i > 0 && tensors[order[i - 1]].name == name)
      throw Error(kBadInput, "{}: two tensors are named '{}'; rename one.", path.string(), name);
  }
  std::ranges::stable_sort(order, {}, [&](std::size_t i) { return write_rank(tensors[i].dtype); });
  return order;
}

std::string file_head(std::span<const PlannedTensor> tensors, std::span<const std::size_t> order,
                      const std::map<std::string, std::string>& metadata, const std::filesystem::path& path) {
  std::string text(8, '\0');
  text += '{';
  const auto separate = [&] {
    if (text.size() > 9) text += ',';
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
  std::uint64_t at = 0;
  for (const std::size_t i : order) {
    const PlannedTensor& tensor = tensors[i];
    separate();
    fmt::format_to(std::back_inserter(text), "{}:{{\"dtype\":\"{}\",\"shape\":[", quoted(tensor.name, path),
                   dtype_name(tensor.dtype));
    for (std::size_t k = 0; k < tensor.shape.size(); ++k)
      fmt::format_to(std::back_inserter(text), "{}{}", k == 0 ? "" : ",", tensor.shape[k]);
    const std::uint64_t end = at + tensor.bytes();
    fmt::format_to(std::back_inserter(text), "],\"data_offsets\":[{},{}]}}", at, end);
    at = end;
  }
  text += '}';
  text.append((8 - text.size() % 8) % 8, ' ');
  const std::uint64_t length = text.size() - 8;
  std::memcpy(text.data(), &length, sizeof(length));
  return text;
}

TensorStream::TensorStream(std::filesystem::path path, std::vector<PlannedTensor> tensors,
                           const std::map<std::string, std::string>& metadata)
    : path_(std::move(path)),
      tensors_(std::move(tensors)),
      order_(written_order(tensors_, path_)),
      file_(path_) {
  const std::string head = file_head(tensors_, order_, metadata, path_);
  head_bytes_ = head.size();
  file_.write(head);
}

std::uint64_t TensorStream::size() const {
  std::uint64_t size = head_bytes_;
  for (const PlannedTensor& tensor : tensors_) size += tensor.bytes();
  return size;
}

void TensorStream::write(std::span<const std::byte> bytes) {
  LOWRANK_CHECK(written_ < order_.size() && bytes.size() == tensors_[order_[written_]].bytes());
  file_.write(bytes);
  ++written_;
}

void TensorStream::commit(const std::map<std::string, std::string>& metadata) {
  LOWRANK_CHECK(written_ == order_.size());
  const std::string head = file_head(tensors_, order_, metadata, path_);
  LOWRANK_CHECK(head.size() == head_bytes_);
  file_.overwrite(0, head);
  file_.commit();
}

}  // namespace lowrank::weights
