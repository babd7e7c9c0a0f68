// The index's file: opened, brought to the newest schema, made anew when it is damaged.
#pragma once

#include <filesystem>

#include "sqlite/database.h"

namespace lowrank::library {

// `file` "" means an index in memory. Throws Error(kUnsupported) when a newer LowRank made it.
sqlite::Database open_index(const std::filesystem::path& file);

// Throws away the index and makes an empty one; former names and hashes of files that the new one will find
// again at the same path, size and time are carried over in the table `carried`, see carry_over().
sqlite::Database rebuild_index(const std::filesystem::path& file);

// After the first scan of a rebuilt index: gives files back their former names and hashes.
void carry_over(const sqlite::Database& database);

// The number of the newest migration.
int schema_version();

}  // namespace lowrank::library
