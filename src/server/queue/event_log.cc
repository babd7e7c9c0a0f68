#include "server/queue/event_log.h"

#include <algorithm>

namespace lowrank::server {

void EventLog::add(std::string name, std::string job, Json data) {
  const std::lock_guard lock(mutex_);
  events_.push_back(
      {.number = ++newest_, .name = std::move(name), .job = std::move(job), .data = std::move(data)});
  if (events_.size() > kKept) events_.pop_front();
  added_.notify_all();
}

std::uint64_t EventLog::newest() const {
  const std::lock_guard lock(mutex_);
  return newest_;
}

std::optional<Event> EventLog::next(std::uint64_t& number, const std::string& job,
                                    std::chrono::milliseconds wait) const {
  std::unique_lock lock(mutex_);
  const auto end = std::chrono::steady_clock::now() + wait;
  for (;;) {
    const auto first = std::ranges::upper_bound(events_, number, {}, &Event::number);
    const auto found =
        std::find_if(first, events_.end(), [&](const Event& e) { return job.empty() || e.job == job; });
    if (found != events_.end()) {
      number = found->number;
      return *found;
    }
    number = std::max(number, newest_);
    if (added_.wait_until(lock, end) == std::cv_status::timeout) return std::nullopt;
  }
}

}  // namespace lowrank::server
