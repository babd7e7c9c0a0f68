// The hash of a checkpoint's file, from the memo or computed beside other work.
#include "pipeline/resident/file_hash.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

#include "base/sha256.h"
#include "support/temporary_folder.h"

namespace lowrank::pipeline {
namespace {

namespace fs = std::filesystem;
using weights::HashMemo;

class FileHashTest : public ::testing::Test {
 protected:
  fs::path file(const std::string& name, std::uintmax_t bytes = 64 << 20) const {
    std::ofstream(folder_ / name).put(name.front());
    fs::resize_file(folder_ / name, bytes);  // sparse
    return folder_ / name;
  }

  lowrank::testing::TemporaryFolder temporary_;
  const fs::path folder_ = temporary_.path();
  const std::string a_ = std::string(64, 'a');
};

TEST_F(FileHashTest, AFileIsReadOnceOnly) {
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
TEST_F(FileHashTest, AnExchangedFileHasNoHash) {
  const fs::path large = file("large");
  const FileIdentity loaded = identity_of(large);
  fs::rename(file("other"), large);
  EXPECT_EQ(FileHash(large, loaded).prefix(64), "");
}

}  // namespace
}  // namespace lowrank::pipeline
