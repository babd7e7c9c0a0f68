// What is left of the machine's memory, and of a control group's.
#include "base/available_memory.h"

#include <gtest/gtest.h>

#include <limits>
#include <string>

#include "support/temporary_folder.h"

namespace lowrank {
namespace {

namespace fs = std::filesystem;

class AvailableMemory : public ::testing::Test {
 protected:
  void write(const std::string& file, const std::string& text) const { folder_.write(file, text); }

  testing::TemporaryFolder folder_;
  const fs::path root_ = folder_.path();
};

TEST_F(AvailableMemory, IsWhatTheSystemSays) {
  write("proc/meminfo", "MemTotal:  8000000 kB\nMemFree:   10 kB\nMemAvailable:   3000 kB\nBuffers: 5 kB\n");
  EXPECT_EQ(available_memory(root_), 3000 * 1024);
}

TEST_F(AvailableMemory, IsNoMoreThanTheGroupHasLeft) {
  write("proc/meminfo", "MemAvailable: 30000 kB\n");
  write("sys/fs/cgroup/memory.max", "5000000\n");
  write("sys/fs/cgroup/memory.current", "4500000\n");
  EXPECT_EQ(available_memory(root_), 500000);
  write("sys/fs/cgroup/memory.stat", "anon 100\nfile 200000\nfile_mapped 7\n");
  EXPECT_EQ(available_memory(root_), 700000);
  write("sys/fs/cgroup/memory.max", "4000000\n");
  EXPECT_EQ(available_memory(root_), 0);
  write("sys/fs/cgroup/memory.max", "max\n");
  EXPECT_EQ(available_memory(root_), 30000 * 1024);
}

TEST_F(AvailableMemory, IsThatOfTheProcessesOwnGroup) {
  write("proc/self/cgroup", "0::/user/work\n");
  write("sys/fs/cgroup/memory.max", "max\n");
  write("sys/fs/cgroup/user/work/memory.max", "300\n");
  write("sys/fs/cgroup/user/work/memory.current", "100\n");
  EXPECT_EQ(available_memory(root_), 200);
}

TEST_F(AvailableMemory, GroupsOfTheFirstVersionCountToo) {
  write("proc/self/cgroup", "9:cpu,cpuacct:/elsewhere\n7:memory:/work\n");
  write("sys/fs/cgroup/memory/memory.limit_in_bytes", "9223372036854771712\n");
  write("sys/fs/cgroup/memory/memory.usage_in_bytes", "1\n");
  write("sys/fs/cgroup/memory/work/memory.limit_in_bytes", "5000\n");
  write("sys/fs/cgroup/memory/work/memory.usage_in_bytes", "4000\n");
  write("sys/fs/cgroup/memory/work/memory.stat", "cache 700\nrss 3\n");
  EXPECT_EQ(available_memory(root_), 1700);
  fs::remove_all(root_ / "sys/fs/cgroup/memory/work");  // as a container sees it
  write("sys/fs/cgroup/memory/memory.limit_in_bytes", "77\n");
  EXPECT_EQ(available_memory(root_), 76);
}

TEST_F(AvailableMemory, IsWithoutEndWhereNothingIsSaid) {
  EXPECT_EQ(available_memory(root_), std::numeric_limits<std::int64_t>::max());
  write("proc/meminfo", "MemAvailable: much\n");
  EXPECT_EQ(available_memory(root_), std::numeric_limits<std::int64_t>::max());
}

TEST(AvailableMemoryHere, IsSome) {
  EXPECT_GT(available_memory(), 1 << 20);
}

}  // namespace
}  // namespace lowrank
