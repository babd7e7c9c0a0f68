// File systems that other machines share: they lack the shared memory that SQLite's WAL needs, and inotify does not tell
// what the others do.
#pragma once

#include <filesystem>

namespace lowrank::library {

// False for a folder that is not there.
bool is_network_folder(const std::filesystem::path& folder);

}  // namespace lowrank::library
