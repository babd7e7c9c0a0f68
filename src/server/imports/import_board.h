// How far the running imports are, written by their threads and read by everybody.
#pragma once

#include <cstdint>
#include <map>
#include <mutex>
#include <optional>
#include <string>

#include "server/json.h"

namespace lowrank::server {

struct ImportProgress {
  std::string file;                          // what is being fetched; "" the site is being asked
  std::uint64_t bytes = 0, total_bytes = 0;  // of all files of the job; total 0: not known
  std::uint64_t kept_bytes = 0;              // of those `bytes`, what an earlier try had brought
  double seconds = 0;                        // since the first byte

  double progress() const {
    return total_bytes == 0 ? 0 : static_cast<double>(bytes) / static_cast<double>(total_bytes);
  }
  // Seconds left; 0: not known.
  double eta() const {
    if (bytes <= kept_bytes || total_bytes < bytes) return 0;
    return seconds / static_cast<double>(bytes - kept_bytes) * static_cast<double>(total_bytes - bytes);
  }
  Json json() const {
    return {{"progress", progress()},
            {"eta", eta()},
            {"file", file},
            {"bytes", bytes},
            {"total_bytes", total_bytes}};
  }
};

class ImportBoard {
 public:
  void set(const std::string& job, const ImportProgress& progress) {
    const std::lock_guard lock(mutex_);
    jobs_[job] = progress;
  }
  void remove(const std::string& job) {
    const std::lock_guard lock(mutex_);
    jobs_.erase(job);
  }
  std::optional<ImportProgress> find(const std::string& job) const {
    const std::lock_guard lock(mutex_);
    const auto found = jobs_.find(job);
    return found == jobs_.end() ? std::nullopt : std::optional(found->second);
  }

 private:
  mutable std::mutex mutex_;
  std::map<std::string, ImportProgress> jobs_;
};

}  // namespace lowrank::server
