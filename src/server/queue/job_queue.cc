#include "server/queue/job_queue.h"

#include <fmt/format.h>

#include <algorithm>
#include <random>

#include "base/error.h"
#include "server/http/refusal.h"

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
    : options_(options), events_(events), store_(file) {
  for (const std::string& id : store_.recover(options_.max_attempts, now())) {
    const JobOrder order = store_.order(id);
    waiting_.push_back({.id = id,
                        .task_id = order.task_id,
                        .bytes = order.request.size(),
                        .is_attached = false,
                        .lane = lane_of(order.kind)});
    waiting_bytes_ += order.request.size();
  }
  store_.drop_old(options_.retention, now());
}

void JobQueue::tell(std::string_view name, const std::string& id) {
  Json data = {{"id", id}, {"state", name}};
  events_.add(std::string(name), id, std::move(data));
}

JobQueue::Ticket JobQueue::submit(const JobOrder& order) {
  const std::lock_guard lock(mutex_);
  if (!order.idempotency_key.empty()) {
    if (const auto known = store_.find_key(order.idempotency_key, order)) {
      if (!known->same_request)
        throw Refusal(409, "this idempotency key was used for another request; use a new one.");
      return {.id = known->id, .is_new = false};
    }
  }
  if (is_stopping_) throw Refusal(503, "the server is stopping.");
  const auto waiting = std::ranges::count(waiting_, lane_of(order.kind), &Waiting::lane);
  if (waiting >= options_.max_waiting || waiting_bytes_ + order.request.size() > options_.max_waiting_bytes)
    throw Refusal(503, fmt::format("the queue is full: {} jobs are waiting; try again later.", waiting));
  const std::string id = new_id();
  store_.insert(id, order, now());
  waiting_.push_back({.id = id,
                      .task_id = order.task_id,
                      .bytes = order.request.size(),
                      .is_attached = order.is_attached,
                      .lane = lane_of(order.kind)});
  waiting_bytes_ += order.request.size();
  if (order.is_attached) ends_[id] = nullptr;
  tell("queued", id);
  work_came_.notify_all();
  return {.id = id, .is_new = true};
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
    if (work_came_.wait_for(lock, std::chrono::seconds(60)) == std::cv_status::timeout)
      store_.drop_old(options_.retention, now());
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
  RunningJob job{.id = next.id, .order = store_.order(next.id), .control = std::make_shared<JobControl>()};
  store_.begin(next.id, now());
  waiting_.erase(place);
  waiting_bytes_ -= next.bytes;
  RunningJob& running = running_.emplace_back(RunningJob{.id = job.id, .order = {}, .control = job.control});
  running.order.kind = job.order.kind;
  running.order.task_id = job.order.task_id;
  running.order.is_attached = job.order.is_attached;
  tell("running", job.id);
  return Work{.task = nullptr, .job = std::move(job)};
}

void JobQueue::end_locked(const std::string& id, const std::shared_ptr<const Outcome>& outcome) {
  if (!store_.end(id, *outcome, now())) return;
  if (const auto waiter = ends_.find(id); waiter != ends_.end()) waiter->second = outcome;
  tell(job_state_name(outcome->state), id);
  job_ended_.notify_all();
}

void JobQueue::end(const std::string& id, const std::shared_ptr<const Outcome>& outcome) {
  const std::lock_guard lock(mutex_);
  const auto running = running_job(id);
  bool put_back = false;
  if (running != running_.end()) {
    put_back = running->control->put_back && outcome->state == JobState::kCancelled;
    running_.erase(running);
  }
  if (put_back) {
    store_.put_back(id);
    return;
  }
  try {
    // The engine says "cancelled"; here it is known why.
    const bool stops = is_stopping_ && outcome->state == JobState::kCancelled;
    end_locked(id, stops ? Outcome::of(JobState::kCancelled, 503, "the server is stopping.") : outcome);
    store_.drop_old(options_.retention, now());
  } catch (const Error& error) {
    // The disk is full, most likely. A failure takes no room; the waiting client must hear of it in any case.
    const auto failed =
        Outcome::of(JobState::kFailed, 500, fmt::format("the result was lost: {}", error.what()));
    if (const auto waiter = ends_.find(id); waiter != ends_.end()) waiter->second = failed;
    job_ended_.notify_all();
    end_locked(id, failed);
  }
}

std::shared_ptr<const Outcome> JobQueue::wait_for_end(const std::string& id, std::chrono::milliseconds wait) {
  std::unique_lock lock(mutex_);
  const auto ended = [&] {
    const auto found = ends_.find(id);
    return found == ends_.end() || found->second != nullptr;
  };
  job_ended_.wait_for(lock, wait, ended);
  const auto found = ends_.find(id);
  return found == ends_.end() ? nullptr : found->second;
}

void JobQueue::forget(const std::string& id) {
  const std::lock_guard lock(mutex_);
  ends_.erase(id);
}

Cancelled JobQueue::cancel(const std::string& id) {
  const std::lock_guard lock(mutex_);
  if (const auto running = running_job(id); running != running_.end()) {
    JobControl& control = *running->control;
    const bool keeps = control.has_drawn && !running->order.is_attached && !control.cancelled.exchange(true);
    if (keeps) {
      control.interrupt = true;
    } else {
      control.stop.request_stop();
    }
    return Cancelled::kSoon;
  }
  const auto waiting = std::ranges::find(waiting_, id, &Waiting::id);
  if (waiting == waiting_.end()) return store_.view(id) ? Cancelled::kHadEnded : Cancelled::kUnknown;
  waiting_bytes_ -= waiting->bytes;
  waiting_.erase(waiting);
  end_locked(id, Outcome::of(JobState::kCancelled, 409, "cancelled while it waited"));
  return Cancelled::kAtOnce;
}

void JobQueue::interrupt() {
  const std::lock_guard lock(mutex_);
  for (const RunningJob& job : running_)
    if (lane_of(job.order.kind) == Lane::kEngine) job.control->interrupt = true;
}

void JobQueue::skip() {
  const std::lock_guard lock(mutex_);
  for (const RunningJob& job : running_)
    if (lane_of(job.order.kind) == Lane::kEngine) job.control->skip = true;
}

void JobQueue::stop() {
  const std::lock_guard lock(mutex_);
  if (is_stopping_) return;
  is_stopping_ = true;
  for (const RunningJob& job : running_) {
    job.control->put_back = !job.order.is_attached;
    job.control->stop.request_stop();
  }
  const auto stopped = Outcome::of(JobState::kCancelled, 503, "the server is stopping.");
  for (const Waiting& waiting : std::exchange(waiting_, {}))
    if (waiting.is_attached) end_locked(waiting.id, stopped);
  tasks_.clear();
  work_came_.notify_all();
  job_ended_.notify_all();
}

std::vector<RunningJob>::iterator JobQueue::running_job(const std::string& id) {
  return std::ranges::find(running_, id, &RunningJob::id);
}

// Of those that wait for the same, from 1; 0: it does not wait.
int JobQueue::position_of(const std::string& id) const {
  const auto waiting = std::ranges::find(waiting_, id, &Waiting::id);
  if (waiting == waiting_.end()) return 0;
  return static_cast<int>(std::count_if(waiting_.begin(), waiting,
                                        [&](const Waiting& other) { return other.lane == waiting->lane; })) +
         1;
}

std::optional<JobView> JobQueue::view(const std::string& id) {
  const std::lock_guard lock(mutex_);
  auto view = store_.view(id);
  if (!view) return view;
  view->position = position_of(id);
  return view;
}

std::vector<JobView> JobQueue::list(std::optional<JobState> state, int limit, const std::string& before) {
  const std::lock_guard lock(mutex_);
  auto views = store_.list(state, limit, before);
  for (JobView& view : views)
    if (view.state == JobState::kQueued) view.position = position_of(view.id);
  return views;
}

std::optional<Json> JobQueue::answer(const std::string& id) {
  const std::lock_guard lock(mutex_);
  return store_.answer(id);
}

std::optional<EncodedPicture> JobQueue::picture(const std::string& id, int index) {
  const std::lock_guard lock(mutex_);
  return store_.picture(id, index);
}

bool JobQueue::remove(const std::string& id) {
  const std::lock_guard lock(mutex_);
  return store_.remove(id);
}

JobStore::Counts JobQueue::counts() {
  const std::lock_guard lock(mutex_);
  return store_.counts();
}

int JobQueue::waiting() const {
  const std::lock_guard lock(mutex_);
  return static_cast<int>(std::ranges::count(waiting_, Lane::kEngine, &Waiting::lane));
}

int JobQueue::unfinished() const {
  const std::lock_guard lock(mutex_);
  const auto running = std::ranges::count_if(
      running_, [](const RunningJob& job) { return lane_of(job.order.kind) == Lane::kEngine; });
  return static_cast<int>(std::ranges::count(waiting_, Lane::kEngine, &Waiting::lane) + running);
}

std::vector<JobQueue::Pending> JobQueue::pending() const {
  const std::lock_guard lock(mutex_);
  std::vector<Pending> all;
  for (const Waiting& waiting : waiting_)
    if (waiting.lane == Lane::kEngine) all.push_back({.id = waiting.id, .task_id = waiting.task_id});
  return all;
}

}  // namespace lowrank::server
