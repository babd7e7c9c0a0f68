// How much more memory this process may take before the system has to make room.
#pragma once

#include <cstdint>
#include <filesystem>

namespace lowrank {

// Bytes: what Linux reckons available, and no more than what is left of the control group's limit (of version 2 or 1), pages
// of files counting as free. The largest number where neither is told. `root`: of /proc and /sys, for tests.
std::int64_t available_memory(const std::filesystem::path& root = "/");

}  // namespace lowrank
