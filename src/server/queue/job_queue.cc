#include "server/queue/job_queue.h"

#include <fmt/format.h>

#include <algorithm>
#include <random>

#include "base/error.h"
#include "base/log_line.h"

namespace lowrank::server {
namespace {

double now() {
  return std::chrono::duration<double>(std::chrono::system_clock::now().time_since_epoch()).count();
}

// 96 random bits: ids are not to be guessed by who has not been told them.
std::string new_id() {
  std::random_device random;
  return fmt::format("{:08x}{:08x}{:08x}", random(), random(), random());
}

}  // namespace

JobQueue::JobQueue(const std::filesystem::path& file, const QueueOptions& options, EventLog& events)
    : options_(options),
      events_(events),
      store_(file),
      journal_(file.string() + "-ends"),
      late_ends_(journal_.read()) {
  store_late_ends();
  for (const std::string& id : store_.recover(options_.max_attempts, now())) {
    const JobRequest job_request = store_.request(id);
    waiting_.push_back({.id = id,
                        .task_id = job_request.task_id,
                        .bytes = job_request.body.size(),
                        .is_attached = false,
                        .kind = job_request.kind});
    waiting_bytes_ += job_request.body.size();
  }
  store_.drop_old(options_.retention, now());
}

void JobQueue::tell(std::string_view name, const std::string& id) {
  Json data = {{"id", id}, {"state", name}};
  events_.add(std::string(name), id, std::move(data));
}

JobQueue::Ticket JobQueue::submit(const JobRequest& job_request) {
  const std::lock_guard store_lock(store_mutex_);
  if (!job_request.idempotency_key.empty()) {
    if (const auto known = store_.find_key(job_request.idempotency_key, job_request)) {
      if (!known->same_request) return {.admission = Admission::kKeyTaken};
      return {.admission = Admission::kKnown, .id = known->id};
    }
  }
  {
    const std::lock_guard lock(mutex_);
    if (is_stopping_) return {.admission = Admission::kStopping};
    const auto waiting = std::ranges::count(waiting_, lane_of(job_request.kind), &Waiting::lane);
    if (waiting >= options_.max_waiting ||
        waiting_bytes_ + job_request.body.size() > options_.max_waiting_bytes)
      return {.admission = Admission::kFull, .waiting = static_cast<int>(waiting)};
  }
  store_late_ends();
  const std::string id = new_id();
  store_.insert(id, job_request, now());
  const std::lock_guard lock(mutex_);
  waiting_.push_back({.id = id,
                      .task_id = job_request.task_id,
                      .bytes = job_request.body.size(),
                      .is_attached = job_request.is_attached,
                      .kind = job_request.kind});
  waiting_bytes_ += job_request.body.size();
  if (job_request.is_attached) waiters_[id] = std::make_shared<Waiter>();
  tell("queued", id);
  work_came_.notify_all();
  return {.admission = Admission::kNew, .id = id};
}

void JobQueue::post(std::function<void()> task) {
  const std::lock_guard lock(mutex_);
  if (is_stopping_) return;
  tasks_.push_back(std::move(task));
  work_came_.notify_all();
}

std::optional<Work> JobQueue::take(Lane lane) {
  std::unique_lock lock(mutex_);
  const bool takes_tasks = lane == Lane::kEngine;
  const auto next_waiting = [&] { return std::ranges::find(waiting_, lane, &Waiting::lane); };
  while (!is_stopping_ && !(takes_tasks && !tasks_.empty()) && next_waiting() == waiting_.end()) {
    if (work_came_.wait_for(lock, std::chrono::seconds(60)) == std::cv_status::timeout) {
      lock.unlock();
      {
        const std::lock_guard store_lock(store_mutex_);
        store_late_ends();
        store_.drop_old(options_.retention, now());
      }
      lock.lock();
    }
  }
  if (is_stopping_) {
    tasks_.clear();
    return std::nullopt;
  }
  if (takes_tasks && !tasks_.empty()) {
    Work work{.task = std::move(tasks_.front()), .job = std::nullopt};
    tasks_.pop_front();
    return work;
  }
  const auto place = next_waiting();
  const Waiting next = *place;
  RunningJob job{.id = next.id, .request = {}, .control = std::make_shared<JobControl>()};
  job.request.task_id = next.task_id;
  job.request.is_attached = next.is_attached;
  job.request.kind = next.kind;
  waiting_.erase(place);
  waiting_bytes_ -= next.bytes;
  running_.push_back(job);
  lock.unlock();
  try {
    begin(job);
  } catch (...) {
    // It cannot be noted that the job was begun: it waits on, in its place.
    lock.lock();
    running_.erase(running_job(next.id));
    waiting_.push_front(next);
    waiting_bytes_ += next.bytes;
    throw;
  }
  lock.lock();
  tell("running", job.id);
  return Work{.task = nullptr, .job = std::move(job)};
}

void JobQueue::begin(RunningJob& job) {
  const std::lock_guard store_lock(store_mutex_);
  store_late_ends();
  job.request = store_.request(job.id);
  try {
    store_.begin(job.id, job.request.is_attached, now());
  } catch (const Error&) {
    // After a restart nobody asks for what a client waited for: it need not be noted.
    if (!job.request.is_attached) throw;
  }
}

void JobQueue::end_stored(const std::string& id, std::shared_ptr<const Outcome> outcome, bool is_attached) {
  const auto keep_late = [&] {
    late_ends_.push_back({id, outcome});
    if (!is_attached && !journal_.keep(late_ends_))
      log_line(stderr, "warning: the end of job {} could not be saved; a restart would run it again.\n", id);
  };
  try {
    if (!store_.end(id, *outcome, now())) return;
  } catch (const Error& error) {
    // The disk is full, most likely. An end without a result takes little room.
    if (!is_attached && (outcome->state == JobState::kCompleted || !outcome->pictures.empty()))
      outcome = Outcome::of(outcome->state == JobState::kCompleted ? JobState::kFailed : outcome->state,
                            Cause::kInternal, fmt::format("the result could not be saved: {}", error.what()));
    try {
      if (!store_.end(id, *outcome, now())) return;
    } catch (const Error&) {
      keep_late();
    }
  }
  const std::lock_guard lock(mutex_);
  if (const auto waiter = waiters_.find(id); waiter != waiters_.end()) {
    waiter->second->outcome = outcome;
    waiter->second->came.notify_all();
  }
  tell(job_state_name(outcome->state), id);
}

void JobQueue::store_late_ends() {
  if (late_ends_.empty()) return;
  try {
    for (; !late_ends_.empty(); late_ends_.pop_back())
      store_.end(late_ends_.back().id, *late_ends_.back().outcome, now());
    journal_.keep({});
  } catch (const Error&) {
    // Still no room.
  }
}

void JobQueue::end(const std::string& id, const std::shared_ptr<const Outcome>& outcome) {
  bool put_back = false, is_attached = false;
  auto told = outcome;
  {
    const std::lock_guard lock(mutex_);
    if (const auto running = running_job(id); running != running_.end()) {
      put_back = running->control->put_back && outcome->state == JobState::kCancelled;
      is_attached = running->request.is_attached;
    }
    // The engine says "cancelled"; here it is known why.
    if (is_stopping_ && outcome->state == JobState::kCancelled)
      told = Outcome::of(JobState::kCancelled, Cause::kStopped, "the server is shutting down.");
  }
  const std::lock_guard store_lock(store_mutex_);
  try {
    if (put_back) {
      store_.put_back(id);
    } else {
      store_late_ends();
      end_stored(id, told, is_attached);
    }
  } catch (const Error& error) {
    // A start takes what it finds running for waiting.
    log_line(stderr, "warning: {}\n", error.what());
  }
  {
    const std::lock_guard lock(mutex_);
    if (const auto running = running_job(id); running != running_.end()) running_.erase(running);
  }
  try {
    store_.drop_old(options_.retention, now());
  } catch (const Error& error) {
    log_line(stderr, "warning: {}\n", error.what());
  }
}

std::shared_ptr<const Outcome> JobQueue::wait_for_end(const std::string& id, std::chrono::milliseconds wait) {
  std::unique_lock lock(mutex_);
  const auto found = waiters_.find(id);
  if (found == waiters_.end()) return nullptr;
  const std::shared_ptr<Waiter> waiter = found->second;
  waiter->came.wait_for(lock, wait, [&] { return waiter->outcome != nullptr; });
  return waiter->outcome;
}

void JobQueue::forget(const std::string& id) {
  const std::lock_guard lock(mutex_);
  waiters_.erase(id);
}

Cancelled JobQueue::cancel(const std::string& id) {
  std::optional<Waiting> waited;
  {
    const std::lock_guard lock(mutex_);
    if (const auto running = running_job(id); running != running_.end()) {
      JobControl& control = *running->control;
      const bool keeps =
          control.has_drawn && !running->request.is_attached && !control.cancelled.exchange(true);
      if (keeps) {
        control.interrupt = true;
      } else {
        control.stop.request_stop();
      }
      return Cancelled::kSoon;
    }
    if (const auto waiting = std::ranges::find(waiting_, id, &Waiting::id); waiting != waiting_.end()) {
      waited = *waiting;
      waiting_bytes_ -= waiting->bytes;
      waiting_.erase(waiting);
    }
  }
  const std::lock_guard store_lock(store_mutex_);
  if (!waited) return store_.view(id) ? Cancelled::kHadEnded : Cancelled::kUnknown;
  end_stored(id, Outcome::of(JobState::kCancelled, Cause::kCancelled, "cancelled while queued"),
             waited->is_attached);
  return Cancelled::kAtOnce;
}

void JobQueue::interrupt() {
  const std::lock_guard lock(mutex_);
  for (const RunningJob& job : running_)
    if (lane_of(job.request.kind) == Lane::kEngine) job.control->interrupt = true;
}

void JobQueue::skip() {
  const std::lock_guard lock(mutex_);
  for (const RunningJob& job : running_)
    if (lane_of(job.request.kind) == Lane::kEngine) job.control->skip = true;
}

void JobQueue::stop() {
  const std::lock_guard store_lock(store_mutex_);
  std::deque<Waiting> left;
  {
    const std::lock_guard lock(mutex_);
    if (is_stopping_) return;
    is_stopping_ = true;
    for (const RunningJob& job : running_) {
      job.control->put_back = !job.request.is_attached;
      job.control->stop.request_stop();
    }
    left.swap(waiting_);
    tasks_.clear();
    work_came_.notify_all();
  }
  const auto stopped = Outcome::of(JobState::kCancelled, Cause::kStopped, "the server is shutting down.");
  for (const Waiting& waiting : left)
    if (waiting.is_attached) end_stored(waiting.id, stopped, true);
}

std::vector<RunningJob>::iterator JobQueue::running_job(const std::string& id) {
  return std::ranges::find(running_, id, &RunningJob::id);
}

// Of those that wait for the same, from 1; 0: it does not wait.
int JobQueue::position_of(const std::string& id) const {
  const auto waiting = std::ranges::find(waiting_, id, &Waiting::id);
  if (waiting == waiting_.end()) return 0;
  return static_cast<int>(
             std::count_if(waiting_.begin(), waiting,
                           [&](const Waiting& other) { return other.lane() == waiting->lane(); })) +
         1;
}

// What the store does not know yet: a late end, and the place of a job that waits. store_mutex_ is held.
void JobQueue::correct(JobView& view) const {
  if (const auto late = std::ranges::find(late_ends_, view.id, &LateEnd::id); late != late_ends_.end()) {
    view.state = late->outcome->state;
    view.cause = late->outcome->cause;
    view.detail = late->outcome->detail;
  }
  if (view.state != JobState::kQueued) return;
  const std::lock_guard lock(mutex_);
  view.position = position_of(view.id);
}

std::optional<JobView> JobQueue::view(const std::string& id) {
  const std::lock_guard store_lock(store_mutex_);
  auto view = store_.view(id);
  if (view) correct(*view);
  return view;
}

std::vector<JobView> JobQueue::list(std::optional<JobState> state, int limit, const std::string& before) {
  const std::lock_guard store_lock(store_mutex_);
  store_late_ends();
  // States that the store has wrong are asked for all together and told apart here.
  const bool is_right = late_ends_.empty() || !state;
  auto views =
      store_.list(is_right ? state : std::nullopt, is_right ? limit : options_.retention.rows, before);
  for (JobView& view : views) correct(view);
  if (is_right) return views;
  std::erase_if(views, [&](const JobView& view) { return view.state != *state; });
  if (views.size() > static_cast<std::size_t>(limit)) views.resize(static_cast<std::size_t>(limit));
  return views;
}

std::optional<Json> JobQueue::answer(const std::string& id) {
  const std::lock_guard store_lock(store_mutex_);
  return store_.answer(id);
}

std::optional<EncodedPicture> JobQueue::picture(const std::string& id, int index) {
  const std::lock_guard store_lock(store_mutex_);
  return store_.picture(id, index);
}

bool JobQueue::remove(const std::string& id) {
  const std::lock_guard store_lock(store_mutex_);
  store_late_ends();
  return store_.remove(id);
}

JobStore::Counts JobQueue::counts() {
  const std::lock_guard store_lock(store_mutex_);
  return store_.counts();
}

int JobQueue::waiting() const {
  const std::lock_guard lock(mutex_);
  return static_cast<int>(std::ranges::count(waiting_, Lane::kEngine, &Waiting::lane));
}

int JobQueue::unfinished() const {
  const std::lock_guard lock(mutex_);
  const auto running = std::ranges::count_if(
      running_, [](const RunningJob& job) { return lane_of(job.request.kind) == Lane::kEngine; });
  return static_cast<int>(std::ranges::count(waiting_, Lane::kEngine, &Waiting::lane) + running);
}

std::vector<JobQueue::Pending> JobQueue::pending() const {
  const std::lock_guard lock(mutex_);
  std::vector<Pending> all;
  for (const Waiting& waiting : waiting_)
    if (waiting.lane() == Lane::kEngine) all.push_back({.id = waiting.id, .task_id = waiting.task_id});
  return all;
}

}  // namespace lowrank::server
