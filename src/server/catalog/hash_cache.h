// SHA-256 of checkpoints, computed beside other work. Large ones are remembered from one start to the next in the memo
// that the pipeline and the command line share; a file is known again by its place on the disk, size and times.
#pragma once

#include <condition_variable>
#include <deque>
#include <filesystem>
#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <thread>

#include "base/file_identity.h"
#include "weights/hash_memo.h"

namespace lowrank::server {

class HashCache {
 public:
  explicit HashCache(weights::HashMemo memo);
  ~HashCache();

  // The hash if it is known for the file as it is now; else nullopt, and it will be computed.
  std::optional<std::string> sha256(const std::filesystem::path& path);

 private:
  struct Known {
    FileIdentity file;
    std::string hash;
  };
  void work(const std::stop_token& stop);

  const weights::HashMemo memo_;
  std::mutex mutex_;  // guards the next two
  std::map<std::string, Known> known_;
  std::deque<std::filesystem::path> wanted_;
  std::condition_variable_any changed_;
  std::jthread thread_;
};

}  // namespace lowrank::server
