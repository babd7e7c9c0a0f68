// libtorch multiplies matrices with whatever libblas.so.3 it meets. With Debian's reference BLAS everything
// is right and some thirty times slower, silently; this makes it heard.
#pragma once

#include <optional>
#include <string>

namespace lowrank::pipeline {

// One sentence with the remedy when the BLAS in this process is the reference implementation; nullopt when it
// is a fast one, or linked into libtorch.
std::optional<std::string> slow_blas_warning();

}  // namespace lowrank::pipeline
