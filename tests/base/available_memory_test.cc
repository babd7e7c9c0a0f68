// What is left of the machine's memory, and of a control group's.
#include "base/available_memory.h"

#include <gtest/gtest.h>

#include <fstream>
#include <limits>
#include <string>

namespace lowrank {
namespace {

namespace fs = std::filesystem;

class AvailableMemory : public ::testing::Test {
 protected:
  void SetUp() override {
    root_ = fs::path(::testing::TempDir()) /
            ("memory-" + std::string(::testing::UnitTest::GetInstance()->current_test_info()->name()));
    fs::remove_all(root_);
    fs::create_directories(root_ / "proc");
    fs::create_directories(root_ / "sys/fs/cgroup");
  }
  void TearDown() override { fs::remove_all(root_); }
  void write(const std::string& file, const std::string& text) const { std::ofstream(root_ / file) << text; }

  fs::path root_;
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
