// The latest events of the server, for clients that follow along: states of jobs and their progress.
#pragma once

#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <mutex>
#include <optional>
#include <string>

#include "server/json.h"

namespace lowrank::server {

struct Event {
  std::uint64_t number = 0;  // rising by one
  std::string name, job;     // "queued", "running", "progress", "completed" …
  Json data;
};

class EventLog {
 public:
  void add(std::string name, std::string job, Json data);
  std::uint64_t newest() const;
  // The first kept event after `number` about `job` ("": any); waits up to `wait` for one. A follower that
  // fell behind goes on with the oldest that is kept.
  std::optional<Event> next(std::uint64_t& number, const std::string& job,
                            std::chrono::milliseconds wait) const;

 private:
  static constexpr std::size_t kKept = 2048;
  mutable std::mutex mutex_;
  mutable std::condition_variable added_;
  std::deque<Event> events_;
  std::uint64_t newest_ = 0;
};

}  // namespace lowrank::server
