// What the standard library says about files, in this program's words.
#pragma once

#include <filesystem>

#include "base/error.h"

namespace lowrank {

// kIo: "PATH: cannot be used (Permission denied)."
Error file_error(const std::filesystem::filesystem_error& error);

}  // namespace lowrank
