// What processes that were killed while they wrote an AtomicFile left behind.
#pragma once

#include <filesystem>

namespace lowrank {

// Removes the half-written temporaries of this machine's dead processes from a folder; those of processes that are alive
// stay. Not for folders that several machines write at the same time.
void remove_left_temporaries(const std::filesystem::path& folder);

}  // namespace lowrank
