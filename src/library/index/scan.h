// Brings the index up to date with the files. Folders whose listing is unchanged cost one look at each name
// in them; only files that are new or changed are read, and only their headers.
#pragma once

#include <cstdint>
#include <stop_token>
#include <string>
#include <vector>

#include "base/progress.h"
#include "library/data_dir.h"
#include "library/index/sqlite.h"

namespace lowrank::library {

struct ScanReport {
  std::int64_t folders = 0, changed_folders = 0;
  std::int64_t read = 0;     // files that were new or changed
  std::int64_t gone = 0;     // files that are no longer there
  std::int64_t renamed = 0;  // files that were found again under another name
  std::vector<std::string>
      problems;  // folders that cannot be read and links that lead nowhere, one sentence each
};

struct ScanOptions {
  int threads = 0;               // 0: all cores
  Progress* progress = nullptr;  // phase "reading headers"
  std::stop_token stop = {};     // what was read so far is kept
};

// Work is written in pieces, each whole or not at all, so that a scan that was killed goes on where it was.
ScanReport scan(const Database& database, const DataDir& data, const ScanOptions& options);

}  // namespace lowrank::library
