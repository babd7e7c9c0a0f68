// The type in which a request has the U-Net's products formed.
#pragma once

#include <c10/core/ScalarType.h>

#include "request/generation_request.h"

namespace lowrank::pipeline {

// float32 or bfloat16. Throws Error(kBadInput) for another word, Error(kUnsupported) for bfloat16 where the processor
// multiplies none.
c10::ScalarType compute_type(const request::GenerationRequest& request);

}  // namespace lowrank::pipeline
