// What a scan of the collection found and did.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace lowrank::library {

struct ScanReport {
  std::int64_t folders = 0, changed_folders = 0;
  std::int64_t read = 0;     // files that were new or changed
  std::int64_t gone = 0;     // files that are no longer there
  std::int64_t renamed = 0;  // files that were found again under another name
  std::vector<std::string>
      problems;  // folders that cannot be read and links that lead nowhere, one sentence each
};

}  // namespace lowrank::library
