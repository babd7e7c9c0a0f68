#include "base/parallel.h"

#if defined(__linux__)
#include <sched.h>
#endif

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <cstdlib>
#include <exception>
#include <mutex>
#include <stop_token>
#include <string_view>
#include <thread>
#include <vector>

namespace lowrank {
namespace {

// One call of parallel_for.
class Task {
 public:
  Task(std::int64_t count, const std::function<void(std::int64_t)>& body) : count_(count), body_(body) {}

  void work() {
    for (std::int64_t i = next_.fetch_add(1); i < count_; i = next_.fetch_add(1)) {
      try {
        body_(i);
      } catch (...) {
        const std::scoped_lock lock(mutex_);
        if (!failure_) failure_ = std::current_exception();
        next_.store(count_);
      }
    }
  }
  void rethrow() const {
    if (failure_) std::rethrow_exception(failure_);
  }

 private:
  std::int64_t count_;
  const std::function<void(std::int64_t)>& body_;
  std::atomic<std::int64_t> next_{0};
  std::mutex mutex_;  // guards `failure_`
  std::exception_ptr failure_;
};

// Keeps the calling thread to the `index`-th of the processors that the process may use, if that is asked for.
void pin(std::size_t index) {
#if defined(__linux__)
  static const auto processors = [] {
    std::vector<int> all;
    const char* const asked = std::getenv("LOWRANK_PIN_THREADS");
    cpu_set_t allowed;
    if (asked == nullptr || std::string_view(asked) != "1" ||
        sched_getaffinity(0, sizeof allowed, &allowed) != 0)
      return all;
    for (int i = 0; i < CPU_SETSIZE; ++i)
      if (CPU_ISSET(i, &allowed)) all.push_back(i);
    return all;
  }();
  if (processors.empty()) return;
  cpu_set_t one;
  CPU_ZERO(&one);
  CPU_SET(processors[index % processors.size()], &one);
  sched_setaffinity(0, sizeof one, &one);
#else
  static_cast<void>(index);
#endif
}

// Threads that wait for tasks. A step of the U-Net makes some thousand calls: starting threads for each would
// cost about 30 µs a call.
class Team {
 public:
  // False when the team is at work for somebody else.
  bool run(Task& task, int helpers) {
    if (busy_.test_and_set(std::memory_order_acquire)) return false;
    const struct Free {
      std::atomic_flag& flag;
      ~Free() { flag.clear(std::memory_order_release); }
    } free{busy_};
    while (static_cast<int>(threads_.size()) < helpers) {
      threads_.emplace_back([this, index = threads_.size() + 1](const std::stop_token& stop) {
        pin(index);
        serve(stop);
      });
    }
    {
      const std::scoped_lock lock(mutex_);
      task_ = &task;
      wanted_ = helpers;
    }
    wake_.notify_all();
    task.work();
    std::unique_lock lock(mutex_);
    wanted_ = 0;  // who has not begun by now is not needed
    idle_.wait(lock, [this] { return working_ == 0; });
    task_ = nullptr;
    return true;
  }

 private:
  void serve(const std::stop_token& stop) {
    std::unique_lock lock(mutex_);
    while (wake_.wait(lock, stop, [this] { return wanted_ > 0; })) {
      --wanted_;
      ++working_;
      Task* const task = task_;
      lock.unlock();
      task->work();
      lock.lock();
      --working_;
      if (working_ == 0) idle_.notify_one();
    }
  }

  std::atomic_flag busy_;  // set while a task is run
  std::mutex mutex_;       // guards the next three
  Task* task_ = nullptr;
  int wanted_ = 0, working_ = 0;
  std::condition_variable_any wake_;
  std::condition_variable_any idle_;
  std::vector<std::jthread> threads_;  // last: they end before what they use
};

}  // namespace

void parallel_for(std::int64_t count, int threads, const std::function<void(std::int64_t)>& body) {
  if (threads <= 0) threads = static_cast<int>(std::max(1u, std::thread::hardware_concurrency()));
  threads = static_cast<int>(std::min<std::int64_t>(threads, count));
  static Team team;
  Task task(count, body);
  if (threads <= 1 || !team.run(task, threads - 1)) task.work();
  task.rethrow();
}

}  // namespace lowrank
