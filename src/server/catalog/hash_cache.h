// SHA-256 of large files, computed beside other work and remembered by path, place on the disk, size and times.
#pragma once

#include <condition_variable>
#include <deque>
#include <filesystem>
#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <thread>

namespace lowrank::server {

class HashCache {
 public:
  // What is known is kept in `file` (JSON).
  explicit HashCache(std::filesystem::path file);
  ~HashCache();

  // The hash if it is known for the file as it is now; else nullopt, and it will be computed.
  std::optional<std::string> sha256(const std::filesystem::path& path);

 private:
  struct Known {
    std::string file;  // FileIdentity::text()
    std::string hash;
  };
  void work(const std::stop_token& stop);
  void save_locked() const;

  const std::filesystem::path file_;
  std::mutex mutex_;  // guards the next two
  std::map<std::string, Known> known_;
  std::deque<std::filesystem::path> wanted_;
  std::condition_variable_any changed_;
  std::jthread thread_;
};

}  // namespace lowrank::server
