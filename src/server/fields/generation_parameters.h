// The fields of A1111's requests for pictures, with A1111's defaults.
#pragma once

#include "server/fields/parameter.h"

namespace lowrank::server {

ParameterRows txt2img_parameters();
ParameterRows img2img_parameters();

}  // namespace lowrank::server
