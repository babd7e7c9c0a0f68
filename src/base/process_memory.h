// How much memory this process has in use.
#pragma once

#include <cstdint>

namespace lowrank {

// Bytes that are resident now, mapped files included; 0 where the system does not tell.
std::int64_t resident_memory();

}  // namespace lowrank
