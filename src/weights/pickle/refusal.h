// The one sentence with which a pickle is turned down.
#pragma once

#include <fmt/format.h>

#include <string>
#include <utility>

#include "base/error.h"

namespace lowrank::weights {

template <typename... Args>
[[noreturn]] void refuse_pickle(const std::string& label, fmt::format_string<Args...> format,
                                Args&&... args) {
  throw Error(kBadInput,
              "{}: refused: {}; get the model as a .safetensors file, or convert it in an environment that "
              "you trust.",
              label, fmt::format(format, std::forward<Args>(args)...));
}

}  // namespace lowrank::weights
