#include "weights/tensor_writer.h"

#include "base/checked.h"
#include "base/error.h"
#include "weights/tensor_stream.h"

namespace lowrank::weights {
namespace {

void check_tensor(const TensorView& view, const std::filesystem::path& path) {
  LOWRANK_CHECK(view.scaling == nullptr);  // its bytes alone are not its numbers
  const auto elements = checked_elements(view.shape);
  const auto bytes = elements ? checked_multiply(*elements, item_size(view.dtype)) : std::nullopt;
  if (!bytes || *bytes != view.bytes.size()) {
    throw Error(kBadInput, "{}: the data of tensor '{}' of type {} and shape {} does not have {} bytes.",
                path.string(), view.name, dtype_name(view.dtype), shape_text(view.shape), view.bytes.size());
  }
}

}  // namespace

void write_safetensors(const std::filesystem::path& path, std::span<const TensorView> tensors,
                       const std::map<std::string, std::string>& metadata) {
  std::vector<PlannedTensor> plan;
  plan.reserve(tensors.size());
  for (const TensorView& view : tensors) {
    check_tensor(view, path);
    plan.push_back({view.name, view.dtype, view.shape});
  }
  TensorStream stream(path, std::move(plan), metadata);
  for (const std::size_t i : stream.order()) stream.write(tensors[i].bytes);
  stream.commit();
}

}  // namespace lowrank::weights
