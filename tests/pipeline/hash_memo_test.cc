// Hashes remembered from one start to the next: found for the same file only, and never made up.
#include "pipeline/resident/hash_memo.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <fstream>
#include <iterator>

#include "base/sha256.h"
#include "pipeline/resident/file_hash.h"
#include "support/temporary_folder.h"

namespace lowrank::pipeline {
namespace {

namespace fs = std::filesystem;

class HashMemoTest : public ::testing::Test {
 protected:
  fs::path file(const std::string& name, std::uintmax_t bytes = 64 << 20) const {
    std::ofstream(folder_ / name).put(name.front());
    fs::resize_file(folder_ / name, bytes);  // sparse
    return folder_ / name;
  }
  std::string text() const {
    std::ifstream in(folder_ / "hashes.txt");
    return {std::istreambuf_iterator<char>(in), {}};
  }

  lowrank::testing::TemporaryFolder temporary_;
  const fs::path folder_ = temporary_.path();
  const std::string a_ = std::string(64, 'a'), b_ = std::string(64, 'b');
};

TEST_F(HashMemoTest, KnowsFilesUntilTheyChange) {
  const HashMemo memo(folder_ / "hashes.txt");
  const fs::path first = file("first"), second = file("second");
  EXPECT_EQ(memo.find(first), "");
  memo.keep(first, a_);
  memo.keep(second, b_);
  EXPECT_EQ(memo.find(first), a_);
  EXPECT_EQ(memo.find(second), b_);
  // Renaming changes the same time as writing does, and a memo that is wrong is worse than one that has forgotten.
  fs::rename(first, folder_ / "renamed");
  EXPECT_EQ(memo.find(folder_ / "renamed"), "");
  fs::last_write_time(second, fs::last_write_time(second) + std::chrono::seconds(1));
  EXPECT_EQ(memo.find(second), "");
  EXPECT_EQ(memo.find(folder_ / "absent"), "");
}

TEST_F(HashMemoTest, KeepsNeitherSmallFilesNorHalfHashes) {
  const HashMemo memo(folder_ / "hashes.txt");
  memo.keep(file("small", 1000), a_);
  memo.keep(file("large"), "abc");
  EXPECT_FALSE(fs::exists(folder_ / "hashes.txt"));
}

TEST_F(HashMemoTest, WhatIsNoHashIsNotFound) {
  const HashMemo memo(folder_ / "hashes.txt");
  const fs::path large = file("large");
  memo.keep(large, a_);
  std::string damaged = text();
  for (const std::string& end :
       {std::string("zz\n"), std::string(), std::string("\n"), std::string(99, '\n')}) {
    std::ofstream(folder_ / "hashes.txt") << damaged.substr(0, damaged.size() - 3) << end;
    EXPECT_EQ(memo.find(large), "") << end;
  }
  memo.keep(large, b_);
  EXPECT_EQ(memo.find(large), b_);
}

TEST_F(HashMemoTest, IsBounded) {
  const HashMemo memo(folder_ / "hashes.txt");
  {
    std::ofstream out(folder_ / "hashes.txt");
    for (int i = 0; i < 2000; ++i) out << "1 " << i << " 2 3.000000004 " << b_ << "\n";
  }
  memo.keep(file("large"), a_);
  const std::string kept = text();
  EXPECT_LE(std::ranges::count(kept, '\n'), 500);
  EXPECT_EQ(memo.find(folder_ / "large"), a_);
}

TEST_F(HashMemoTest, AFileIsReadOnceOnly) {
  const HashMemo memo(folder_ / "hashes.txt");
  const fs::path large = file("large");
  const std::string right = sha256_file_hex(large);
  EXPECT_EQ(FileHash(large, identity_of(large), memo).prefix(64), right);
  EXPECT_EQ(memo.find(large), right);
  fs::remove(folder_ / "hashes.txt");
  memo.keep(large, a_);  // a memory that nothing but the memo can tell from the truth
  EXPECT_EQ(FileHash(large, identity_of(large), memo).prefix(64), a_);
  EXPECT_EQ(FileHash(large, identity_of(large)).prefix(64), right);
}

// The hash names what the weights came from: of a file that is another one by now there is none.
TEST_F(HashMemoTest, AnExchangedFileHasNoHash) {
  const fs::path large = file("large");
  const FileIdentity loaded = identity_of(large);
  fs::rename(file("other"), large);
  EXPECT_EQ(FileHash(large, loaded).prefix(64), "");
}

// Whoever writes to a file and sets its date again does not get its old hash.
TEST_F(HashMemoTest, TheSameSizeAndDateAreNotEnough) {
  const HashMemo memo(folder_ / "hashes.txt");
  const fs::path large = file("large");
  const auto date = fs::last_write_time(large);
  memo.keep(large, a_);
  std::fstream(large, std::ios::in | std::ios::out | std::ios::binary) << "other";
  fs::last_write_time(large, date);
  EXPECT_EQ(memo.find(large), "");
}

}  // namespace
}  // namespace lowrank::pipeline
