#include "base/available_memory.h"

#include <algorithm>
#include <fstream>
#include <limits>
#include <optional>
#include <string>

namespace lowrank {
namespace {

namespace fs = std::filesystem;

// The number behind `name` in a file of lines "name number …".
std::optional<std::int64_t> number_behind(const fs::path& file, const std::string& name) {
  std::ifstream in(file);
  std::string word;
  std::int64_t number = 0;
  while (in >> word) {
    if (word == name) return in >> number ? std::optional(number) : std::nullopt;
    in.ignore(std::numeric_limits<std::streamsize>::max(), '\n');
  }
  return std::nullopt;
}

std::optional<std::int64_t> number_in(const fs::path& file) {
  std::ifstream in(file);
  std::int64_t number = 0;
  return in >> number ? std::optional(number) : std::nullopt;  // "max": no limit
}

}  // namespace

std::int64_t available_memory(const fs::path& root) {
  std::int64_t least = std::numeric_limits<std::int64_t>::max();
  if (const auto kilobytes = number_behind(root / "proc/meminfo", "MemAvailable:")) least = *kilobytes * 1024;
  const fs::path group = root / "sys/fs/cgroup";
  const auto limit = number_in(group / "memory.max"), used = number_in(group / "memory.current");
  if (limit && used)
    least = std::min(least, *limit - *used + number_behind(group / "memory.stat", "file").value_or(0));
  return std::max<std::int64_t>(least, 0);
}

}  // namespace lowrank
