// From the tensors of an upscaler model's file to the network.
#pragma once

#include <memory>

#include "model/upscaler/upscaler.h"
#include "tensor/state_dict.h"

namespace lowrank::model {

// The two forms that there are, told apart by their parameters' names; widths, depth and scale are read from the
// shapes. `state` in the naming of formats/upscaler_file.h. Throws Error naming a missing or misshapen parameter.
std::unique_ptr<Upscaler> make_upscaler(const tensor::StateDict& state);

}  // namespace lowrank::model
