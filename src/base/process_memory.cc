#include "base/process_memory.h"

#include <unistd.h>

#include <fstream>

namespace lowrank {

std::int64_t resident_memory() {
  std::ifstream file("/proc/self/statm");
  std::int64_t all = 0, resident = 0;
  return file >> all >> resident ? resident * ::sysconf(_SC_PAGESIZE) : 0;
}

}  // namespace lowrank
