#include "base/atomic_file.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <fstream>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "base/error.h"
#include "base/folder_lock.h"
#include "base/left_temporaries.h"
#include "support/temporary_folder.h"

namespace lowrank {
namespace {

namespace fs = std::filesystem;
using ::testing::ElementsAre;
using testing::TemporaryFolder;

std::vector<std::string> names_in(const fs::path& folder) {
  std::set<std::string> names;
  for (const auto& entry : fs::directory_iterator(folder)) names.insert(entry.path().filename().string());
  return {names.begin(), names.end()};
}

TEST(AtomicFile, ANewFileTakesTheFirstFreeName) {
  const TemporaryFolder folder;
  const fs::path target = folder.path() / "fox.tar.png";
  EXPECT_EQ(write_new_file(target, "1"), target);
  fs::create_symlink("nowhere", folder.path() / "fox.tar-2.png");  // a name is taken whatever it stands for
  EXPECT_EQ(write_new_file(target, "3").filename(), "fox.tar-3.png");
  EXPECT_EQ(read_file(target), "1");
  EXPECT_EQ(write_new_file(folder.path() / "new/fox", "4").filename(), "fox");
  EXPECT_THAT(names_in(folder.path()), ElementsAre("fox.tar-2.png", "fox.tar-3.png", "fox.tar.png", "new"));
}

TEST(AtomicFile, ManyWritersOfOneNameLoseNothing) {
  const TemporaryFolder folder;
  std::vector<std::thread> writers;
  for (int writer = 0; writer < 4; ++writer)
    writers.emplace_back([&, writer] {
      for (int i = 0; i < 25; ++i)
        write_new_file(folder.path() / "fox.png", std::to_string(writer) + " " + std::to_string(i));
    });
  for (auto& writer : writers) writer.join();
  std::set<std::string> contents;
  for (const auto& name : names_in(folder.path())) contents.insert(read_file(folder.path() / name));
  EXPECT_EQ(contents.size(), 100u);
}

// In a process of its own: the limit and the signal belong to the whole process.
TEST(AtomicFile, PastTheLimitOnFileSizesThereIsASentenceAndNothingIsLeft) {
  const TemporaryFolder folder;
  write_file(folder.path() / "old.bin", "old");
  const pid_t child = ::fork();
  if (child == 0) {
    std::signal(SIGXFSZ, SIG_IGN);
    const rlimit limit{1000, 1000};
    ::setrlimit(RLIMIT_FSIZE, &limit);
    int refused = 0;
    for (const bool is_new : {false, true}) {
      try {
        AtomicFile file(folder.path() / "old.bin");
        file.write(std::string(5000, 'x'));
        is_new ? static_cast<void>(file.commit_new()) : file.commit();
      } catch (const Error& error) {
        const std::string text = error.what();
        refused += error.code() == kIo && text.find("old.bin") != std::string::npos &&
                   text.find("File too large") != std::string::npos;
      }
    }
    ::_exit(refused);
  }
  int status = 0;
  ::waitpid(child, &status, 0);
  ASSERT_TRUE(WIFEXITED(status));
  EXPECT_EQ(WEXITSTATUS(status), 2);
  EXPECT_THAT(names_in(folder.path()), ElementsAre("old.bin"));
  EXPECT_EQ(read_file(folder.path() / "old.bin"), "old");
}

TEST(FolderLock, OneHolderAtATimeAndNoFileIsLeft) {
  const TemporaryFolder folder;
  const fs::path place = folder.path() / "runs";
  {
    const FolderLock first(place, "a training");
    EXPECT_TRUE(first.is_held());
    try {
      const FolderLock second(place, "a training");
      FAIL() << "two at once";
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), kConflict);
      EXPECT_THAT(error.what(), ::testing::HasSubstr("a training is already running in this folder"));
    }
  }
  EXPECT_TRUE(FolderLock(place, "a training").is_held());
  EXPECT_TRUE(fs::is_empty(place));
}

TEST(AtomicFile, WhatKilledProcessesLeftIsRemovedAndNothingElse) {
  const testing::TemporaryFolder folder;
  const pid_t dead = ::fork();
  if (dead == 0) ::_exit(0);
  ASSERT_EQ(::waitpid(dead, nullptr, 0), dead);
  const auto in = [&](const std::string& name) { return folder.path() / name; };
  const std::string left = ".lowrank-" + std::to_string(dead) + "-3.part",
                    alive = ".lowrank-" + std::to_string(::getpid()) + "-3.part";
  for (const std::string& name : {left, alive, std::string("fox.part"), std::string(".lowrank-x.part")})
    std::ofstream(in(name)) << "half";
  remove_left_temporaries(folder.path());
  EXPECT_FALSE(std::filesystem::exists(in(left)));
  for (const std::string& name : {alive, std::string("fox.part"), std::string(".lowrank-x.part")})
    EXPECT_TRUE(std::filesystem::exists(in(name))) << name;
}

}  // namespace
}  // namespace lowrank
