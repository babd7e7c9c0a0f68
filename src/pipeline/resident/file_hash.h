// The SHA-256 of a file, computed beside other work: a checkpoint of gigabytes takes seconds to read, and
// only the metadata of the finished picture needs it.
#pragma once

#include <filesystem>
#include <future>
#include <string>
#include <thread>

#include "base/file_identity.h"
#include "weights/hash_memo.h"

namespace lowrank::pipeline {

class FileHash {
 public:
  // Starts reading at once, unless `memo` knows the file. A folder has no hash: "". Nor has a file that is another one by
  // now than `loaded`: the hash names what the weights came from.
  FileHash(std::filesystem::path path, FileIdentity loaded, weights::HashMemo memo = weights::HashMemo());

  // The first `digits` hexadecimal digits; waits until they are known. "" when the file could not be read.
  std::string prefix(std::size_t digits) const { return hex_.get().substr(0, digits); }

 private:
  std::promise<std::string> promise_;
  std::shared_future<std::string> hex_;
  std::jthread thread_;  // last: it is stopped and joined before the promise goes
};

}  // namespace lowrank::pipeline
