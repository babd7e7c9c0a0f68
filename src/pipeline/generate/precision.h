// The type in which a request has the U-Net's products formed.
#pragma once

#include <c10/core/ScalarType.h>

#include "model/layer.h"
#include "request/generation_request.h"

namespace lowrank::pipeline {

// As model/ops/ops.h says. Throws Error(kBadInput) for an unknown word, Error(kUnsupported) where the processor lacks
// such products.
c10::ScalarType compute_type(const request::GenerationRequest& request);
// The same for a network; Error(kBadInput) too where it is to multiply 8 bits and holds none.
c10::ScalarType compute_type(const request::GenerationRequest& request, const model::LayerMap& layers);

}  // namespace lowrank::pipeline
