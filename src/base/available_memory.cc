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

// Where the files of the process's group lie: below `mount`, as /proc/self/cgroup says behind `controller`. In a container
// the mount itself may be the group's.
fs::path group_of_process(const fs::path& root, const std::string& controller, const fs::path& mount) {
  std::ifstream in(root / "proc/self/cgroup");
  for (std::string line; std::getline(in, line);) {
    const auto at = line.find(controller);
    if (at == std::string::npos) continue;
    const fs::path group = mount / fs::path(line.substr(at + controller.size())).relative_path();
    std::error_code failure;
    if (fs::is_directory(group, failure)) return group;
  }
  return mount;
}

struct GroupFiles {
  const char *controller, *mount, *limit, *used, *files;  // files: what memory.stat calls pages of files
};
constexpr GroupFiles kVersions[] = {
    {"0::", "sys/fs/cgroup", "memory.max", "memory.current", "file"},
    {":memory:", "sys/fs/cgroup/memory", "memory.limit_in_bytes", "memory.usage_in_bytes", "cache"}};

}  // namespace

std::int64_t available_memory(const fs::path& root) {
  std::int64_t least = std::numeric_limits<std::int64_t>::max();
  if (const auto kilobytes = number_behind(root / "proc/meminfo", "MemAvailable:")) least = *kilobytes * 1024;
  for (const GroupFiles& version : kVersions) {
    const fs::path group = group_of_process(root, version.controller, root / version.mount);
    const auto limit = number_in(group / version.limit), used = number_in(group / version.used);
    if (limit && used)
      least =
          std::min(least, *limit - *used + number_behind(group / "memory.stat", version.files).value_or(0));
  }
  return std::max<std::int64_t>(least, 0);
}

}  // namespace lowrank
