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
    waiting_.push_back({.id = id, .task_id = order.task_id, .bytes = order.request.size()});
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
  if (static_cast<int>(waiting_.size()) >= options_.max_waiting ||
      waiting_bytes_ + order.request.size() > options_.max_waiting_bytes)
    throw Refusal(503,
                  fmt::format("the queue is full: {} jobs are waiting; try again later.", waiting_.size()));
  const std::string id = new_id();
  store_.insert(id, order, now());
  waiting_.push_back(
      {.id = id, .task_id = order.task_id, .bytes = order.request.size(), .is_attached = order.is_attached});
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

std::optional<Work> JobQueue::take() {
  std::unique_lock lock(mutex_);
  while (!is_stopping_ && tasks_.empty() && waiting_.empty()) {
    if (work_came_.wait_for(lock, std::chrono::seconds(60)) == std::cv_status::timeout)
      store_.drop_old(options_.retention, now());
  }
  if (is_stopping_) {
    tasks_.clear();
    return std::nullopt;
  }
  if (!tasks_.empty()) {
    Work work{.task = std::move(tasks_.front()), .job = std::nullopt};
    tasks_.pop_front();
    return work;
  }
  const Waiting next = waiting_.front();
  RunningJob job{.id = next.id, .order = store_.order(next.id), .control = std::make_shared<JobControl>()};
  store_.begin(next.id, now());
  waiting_.pop_front();
  waiting_bytes_ -= next.bytes;
  running_ = RunningJob{.id = job.id, .order = {}, .control = job.control};
  running_->order.task_id = job.order.task_id;
  running_->order.is_attached = job.order.is_attached;
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
  const bool put_back = running_ && running_->control->put_back && outcome->state == JobState::kCancelled;
  running_.reset();
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
  if (running_ && running_->id == id) {
    running_->control->stop.request_stop();
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
  if (running_) running_->control->interrupt = true;
}

void JobQueue::skip() {
  const std::lock_guard lock(mutex_);
  if (running_) running_->control->skip = true;
}

void JobQueue::stop() {
  const std::lock_guard lock(mutex_);
  if (is_stopping_) return;
  is_stopping_ = true;
  if (running_) {
    running_->control->put_back = !running_->order.is_attached;
    running_->control->stop.request_stop();
  }
  const auto stopped = Outcome::of(JobState::kCancelled, 503, "the server is stopping.");
  for (const Waiting& waiting : std::exchange(waiting_, {}))
    if (waiting.is_attached) end_locked(waiting.id, stopped);
  tasks_.clear();
  work_came_.notify_all();
  job_ended_.notify_all();
}

std::optional<JobView> JobQueue::view(const std::string& id) {
  const std::lock_guard lock(mutex_);
  auto view = store_.view(id);
  if (!view) return view;
  const auto waiting = std::ranges::find(waiting_, id, &Waiting::id);
  if (waiting != waiting_.end()) view->position = static_cast<int>(waiting - waiting_.begin()) + 1;
  return view;
}

std::vector<JobView> JobQueue::list(std::optional<JobState> state, int limit, const std::string& before) {
  const std::lock_guard lock(mutex_);
  auto views = store_.list(state, limit, before);
  std::map<std::string_view, int> positions;
  for (std::size_t i = 0; i < waiting_.size(); ++i) positions[waiting_[i].id] = static_cast<int>(i) + 1;
  for (JobView& view : views)
    if (const auto found = positions.find(view.id); found != positions.end()) view.position = found->second;
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
  return static_cast<int>(waiting_.size());
}

int JobQueue::unfinished() const {
  const std::lock_guard lock(mutex_);
  return static_cast<int>(waiting_.size()) + (running_ ? 1 : 0);
}

std::vector<JobQueue::Pending> JobQueue::pending() const {
  const std::lock_guard lock(mutex_);
  std::vector<Pending> all;
  for (const Waiting& waiting : waiting_) all.push_back({.id = waiting.id, .task_id = waiting.task_id});
  return all;
}

}  // namespace lowrank::server
