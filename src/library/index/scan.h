// Brings the index up to date with the files. Folders whose listing is unchanged cost one look at each name
// in them; only files that are new or changed are read, and only their headers.
#pragma once

#include <stop_token>

#include "base/progress.h"
#include "library/data_dir.h"
#include "library/index/scan_report.h"
#include "sqlite/database.h"

namespace lowrank::library {

struct ScanOptions {
  int threads = 0;               // 0: all cores
  Progress* progress = nullptr;  // phase "reading headers"
  std::stop_token stop = {};     // what was read so far is kept
};

// Work is written in pieces, each whole or not at all, so that a scan that was killed goes on where it was.
ScanReport scan(const sqlite::Database& database, const DataDir& data, const ScanOptions& options);

}  // namespace lowrank::library
