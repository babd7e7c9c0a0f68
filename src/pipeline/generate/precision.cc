#include "pipeline/generate/precision.h"

#include "base/error.h"
#include "model/ops/ops.h"

namespace lowrank::pipeline {

c10::ScalarType compute_type(const request::GenerationRequest& request) {
  if (request.precision == "float32") return c10::ScalarType::Float;
  if (request.precision != "bf16")
    throw Error(kBadInput, "unknown precision '{}'; choose float32 or bf16.", request.precision);
  if (!model::ops::multiplies_bfloat16())
    throw Error(
        kUnsupported,
        "this processor has no bfloat16 products (AVX512-BF16 or AMX), or LOWRANK_SIMD turns them off: "
        "--precision bf16 would be slower than float32; leave it out.");
  return c10::ScalarType::BFloat16;
}

}  // namespace lowrank::pipeline
