// Hashes remembered from one start to the next: found for the same file only, and never made up.
#include "weights/hash_memo.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <fstream>
#include <iterator>

#include "support/temporary_folder.h"

namespace lowrank::weights {
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

// For who asks about many files, and for one: the same answers, from one reading.
TEST_F(HashMemoTest, TellsAllThatItKnows) {
  const HashMemo memo(folder_ / "hashes.txt");
  const fs::path first = file("first"), second = file("second");
  EXPECT_TRUE(memo.all().empty());
  memo.keep(first, a_);
  memo.keep(second, b_);
  std::ofstream(folder_ / "hashes.txt", std::ios::app)
      << "1 2 3 4 5 " << std::string(64, 'x') << "\n1 2 3 4 6 " << a_;
  const auto all = memo.all();
  EXPECT_EQ(all.size(), 2u) << "neither what is no hash nor a line that was cut off";
  EXPECT_EQ(all.at(identity_of(first).text()), a_);
  EXPECT_EQ(all.at(identity_of(second).text()), b_);
}

// FIPS 180-4: SHA-256 of "abc".
TEST_F(HashMemoTest, ComputesWhatItDoesNotKnow) {
  constexpr std::string_view kAbc = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
  const HashMemo memo(folder_ / "hashes.txt");
  const fs::path small = folder_ / "small", large = file("large");
  std::ofstream(small) << "abc";
  EXPECT_EQ(memo.hash_of(small, identity_of(small)), kAbc);
  EXPECT_FALSE(fs::exists(folder_ / "hashes.txt"));
  memo.keep(large, a_);
  EXPECT_EQ(memo.hash_of(large, identity_of(large)), a_) << "not read again";
  const FileIdentity before = identity_of(small);
  std::ofstream(small) << "changed";
  EXPECT_EQ(memo.hash_of(small, before), "");
  EXPECT_EQ(memo.hash_of(folder_ / "absent", identity_of(folder_ / "absent")), "");
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
}  // namespace lowrank::weights
