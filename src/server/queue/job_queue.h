// The one queue: pictures and training wait here for the engine in order of arrival, imports for theirs. Safe to use
// from any thread; the threads that work take from their lane, everybody else brings jobs and asks how it goes.
#pragma once

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <stop_token>
#include <string>
#include <vector>

#include "request/serve_options.h"
#include "server/queue/end_journal.h"
#include "server/queue/event_log.h"
#include "server/queue/job.h"
#include "server/queue/job_store.h"

namespace lowrank::server {

struct QueueOptions {
  int max_waiting = request::ServeOptions().max_queue;
  std::size_t max_waiting_bytes = std::size_t{1} << 30;  // of the requests that wait
  int max_attempts = 3;  // a job that ends the process is not begun more often
  Retention retention = {};
};

// How others reach the job that is being worked on.
struct JobControl {
  std::stop_source stop;               // cancelled: nothing of it is wanted
  std::atomic<bool> interrupt{false};  // end soon, with what is there
  std::atomic<bool> skip{false};       // end this batch, go on with the next
  std::atomic<bool> put_back{false};   // stopped only because the server ends
  std::atomic<bool> has_drawn{false};  // there is something that could be kept
  std::atomic<bool> cancelled{
      false};  // interrupted by cancel(): the job counts as cancelled, with what is there
};

struct RunningJob {
  std::string id;
  JobRequest request;
  std::shared_ptr<JobControl> control;
};

// What a working thread does next: something small (load a model), or a job.
struct Work {
  std::function<void()> task;
  std::optional<RunningJob> job;
};

enum class Cancelled { kAtOnce, kSoon, kHadEnded, kUnknown };

class JobQueue {
 public:
  JobQueue(const std::filesystem::path& file, const QueueOptions& options, EventLog& events);

  enum class Admission {
    kNew,
    kKnown,     // the idempotency key and the request came before: `id` is that job's
    kKeyTaken,  // the key was used for another request
    kFull,
    kStopping,  // the server ends
  };
  struct Ticket {
    Admission admission = Admission::kNew;
    std::string id = {};  // kNew and kKnown only
    int waiting = 0;      // kFull: jobs before this one
  };
  // Throws Error(kIo) when the request cannot be stored.
  Ticket submit(const JobRequest& job_request);
  // Runs on the engine's thread before the next job. The future of a task that will never run is broken.
  void post(std::function<void()> task);

  // For a thread that works: waits for a job of its lane, the engine's also for tasks; nullopt when the server ends.
  std::optional<Work> take(Lane lane = Lane::kEngine);
  void end(const std::string& id, const std::shared_ptr<const Outcome>& outcome);

  // The end of an attached job: nullptr when it has not come within `wait`. The caller must forget() it.
  std::shared_ptr<const Outcome> wait_for_end(const std::string& id, std::chrono::milliseconds wait);
  void forget(const std::string& id);

  // A job that has begun to draw ends soon with what is drawn, which is kept; a second time it ends without. A client that
  // waits on its connection has gone: nothing is kept for it.
  Cancelled cancel(const std::string& id);
  // Of the engine's job.
  void interrupt();
  void skip();
  // Attached jobs end, the others stay for the next start; take() returns nullopt from now on.
  void stop();

  std::optional<JobView> view(const std::string& id);
  std::vector<JobView> list(std::optional<JobState> state, int limit, const std::string& before);
  std::optional<Json> answer(const std::string& id);
  std::optional<EncodedPicture> picture(const std::string& id, int index);
  bool remove(const std::string& id);
  JobStore::Counts counts();
  // Of those for the engine. Imports leave it alone, and A1111's clients know nothing of them.
  int waiting() const;
  // Waiting and running; what A1111's clients poll to be 0.
  int unfinished() const;
  struct Pending {
    std::string id, task_id;
  };
  std::vector<Pending> pending() const;

 private:
  void tell(std::string_view name, const std::string& id);

  // With store_mutex_ held: notes the end, in the store or, where that cannot be written, among late_ends_; then tells
  // who waits for it. A result that could not be kept makes a failure of a job for which nobody waits.
  void end_stored(const std::string& id, std::shared_ptr<const Outcome> outcome, bool is_attached);
  // The late ends into the store, now that there may be room.
  void store_late_ends();
  void correct(JobView& view) const;
  void begin(RunningJob& job);
  struct Waiting {
    std::string id, task_id;
    std::size_t bytes = 0;
    bool is_attached = false;
    JobKind kind = JobKind::kTextToImage;
    Lane lane() const { return lane_of(kind); }
  };
  // Jobs that are being worked on; of their requests only what is asked about here.
  std::vector<RunningJob>::iterator running_job(const std::string& id);
  int position_of(const std::string& id) const;

  // The client of an attached job.
  struct Waiter {
    std::shared_ptr<const Outcome> outcome;  // nullptr: not yet
    std::condition_variable came;
  };

  const QueueOptions options_;
  EventLog& events_;

  // Note [two locks]: the store waits for the disk, so that it has a lock of its own, taken before the other one and
  // never while that is held. Who only asks how it goes waits for no disk.
  std::mutex store_mutex_;  // guards the next three
  JobStore store_;
  EndJournal journal_;
  std::vector<LateEnd> late_ends_;  // of jobs that the store takes for running or waiting

  mutable std::mutex mutex_;  // guards everything below
  std::condition_variable work_came_;
  std::deque<Waiting> waiting_;
  std::deque<std::function<void()>> tasks_;
  std::vector<RunningJob> running_;
  std::map<std::string, std::shared_ptr<Waiter>> waiters_;  // until they are forgotten
  std::size_t waiting_bytes_ = 0;
  bool is_stopping_ = false;
};

}  // namespace lowrank::server
