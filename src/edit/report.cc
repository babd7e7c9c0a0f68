#include "edit/report.h"

#include <cmath>
#include <optional>

namespace lowrank::edit {
namespace {

using weights::DType;

// As one that a tensor is computed in.
DType computed(DType stored) {
  switch (stored) {
    case DType::kF32:
    case DType::kF64:
      return DType::kF32;
    case DType::kBF16:
      return DType::kBF16;
    default:
      return DType::kF16;
  }
}

}  // namespace

double BlockError::relative() const {
  return norm > 0 ? std::sqrt(lost / norm) : 0;
}

DType output_type(Precision precision, const std::vector<std::unique_ptr<Source>>& sources) {
  switch (precision) {
    case Precision::kFloat32:
      return DType::kF32;
    case Precision::kFloat16:
      return DType::kF16;
    case Precision::kBfloat16:
      return DType::kBF16;
    case Precision::kAsInputs:
      break;
  }
  std::optional<DType> widest;
  for (const auto& source : sources)
    for (const SourceModule& module : source->modules)
      for (const auto& [part, view] : module.entry->parts) {
        if (part == "alpha" || !weights::is_float(view.dtype)) continue;
        const DType type = computed(view.dtype);
        if (!widest) widest = type;
        // float16 and bfloat16 have no common type but float32.
        if (*widest != type) widest = DType::kF32;
      }
  return widest.value_or(DType::kF16);
}

}  // namespace lowrank::edit
