#include "pipeline/generate/precision.h"

#include <algorithm>

#include "base/error.h"
#include "model/ops/ops.h"

namespace lowrank::pipeline {

c10::ScalarType compute_type(const request::GenerationRequest& request) {
  if (request.precision == "float32") return c10::ScalarType::Float;
  if (request.precision == "int8") {
    if (!model::ops::multiplies_int8())
      throw Error(kUnsupported,
                  "this processor has no 8-bit products (AVX512-VNNI), or LOWRANK_SIMD turns them off: "
                  "--precision int8 would be slower than float32; leave it out.");
    return c10::ScalarType::Char;
  }
  if (request.precision != "bf16")
    throw Error(kBadInput, "unknown precision '{}'; choose float32, bf16 or int8.", request.precision);
  if (!model::ops::multiplies_bfloat16())
    throw Error(
        kUnsupported,
        "this processor has no bfloat16 products (AVX512-BF16 or AMX), or LOWRANK_SIMD turns them off: "
        "--precision bf16 would be slower than float32; leave it out.");
  return c10::ScalarType::BFloat16;
}

c10::ScalarType compute_type(const request::GenerationRequest& request, const model::LayerMap& layers) {
  const c10::ScalarType type = compute_type(request);
  const bool is_held =
      std::ranges::any_of(layers, [](const auto& entry) { return entry.second->is_held_in_int8(); });
  if (type == c10::ScalarType::Char && !is_held)
    throw Error(
        kBadInput,
        "--precision int8 multiplies weights that are held in 8 bits, and these are not; add --int8 (of "
        "a server: start it with --int8).");
  return type;
}

}  // namespace lowrank::pipeline
