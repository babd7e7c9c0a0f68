// Forward declaration for headers: enough to take or return a tensor.
#pragma once

namespace at {
class Tensor;
}
