#include "server/engine/progress_board.h"

#include <fmt/chrono.h>
#include <fmt/format.h>

#include <algorithm>
#include <ctime>

namespace lowrank::server {

namespace {

// A1111's progress of a job that has begun and done nothing.
constexpr double kHead = 0.01;

}  // namespace

// Source: A1111's modules/api/api.py, progressapi.
double ProgressSnapshot::progress() const {
  if (job_id.empty()) return 0;
  double done = kHead;
  if (job_count > 0) {
    done += static_cast<double>(job_no) / job_count;
    if (sampling_steps > 0) done += static_cast<double>(sampling_step) / sampling_steps / job_count;
  }
  return std::min(1.0, done);
}

double ProgressSnapshot::eta() const {
  const double done = progress();
  if (!begun_phase.empty()) {
    const double gained = done - begun_progress;
    return gained > 0 ? (seconds - begun_seconds) / gained * (1 + kHead - done) : 0;
  }
  return done > 0.0101 ? std::max(0.0, seconds / done - seconds) : 0;
}

void ProgressBoard::begin(const std::string& job_id, const std::string& task_id, std::string_view kind,
                          int job_count) {
  const std::lock_guard lock(mutex_);
  const auto preview_id = now_.preview_id;
  now_ = {};
  now_.job_id = job_id;
  now_.task_id = task_id;
  now_.kind = kind;
  now_.job = "scripts_" + now_.kind;
  now_.job_count = job_count;
  now_.job_timestamp = fmt::format("{:%Y%m%d%H%M%S}", fmt::localtime(std::time(nullptr)));
  now_.preview_id = preview_id;
  start_ = Clock::now();
  preview_ = nullptr;
}

void ProgressBoard::step(const ProgressStep& step) {
  const std::lock_guard lock(mutex_);
  now_.job_no = step.done + step.batch * step.passes + step.pass;
  now_.sampling_step = std::min(step.step, std::max(0, step.steps - 1));
  now_.sampling_steps = step.steps;
  if (now_.phase != now_.begun_phase) {
    now_.begun_phase = now_.phase;
    now_.begun_seconds = seconds();
    now_.begun_progress = now_.progress();
  }
  if (!step.job.empty()) {
    now_.job = step.job;
  } else if (step.batches > 1) {
    now_.job = fmt::format("Batch {} out of {}", step.batch + 1, step.batches);
  }
}

void ProgressBoard::say(const std::string& text) {
  const std::lock_guard lock(mutex_);
  now_.text = text;
}

void ProgressBoard::learn(const std::string& phase, double loss) {
  const std::lock_guard lock(mutex_);
  now_.phase = phase;
  now_.loss = loss;
}

void ProgressBoard::show(image::Picture preview) {
  const std::lock_guard lock(mutex_);
  preview_ = std::make_shared<const image::Picture>(std::move(preview));
  ++now_.preview_id;
}

void ProgressBoard::mark(bool skipped, bool interrupted) {
  const std::lock_guard lock(mutex_);
  now_.skipped = skipped;
  now_.interrupted = interrupted;
}

void ProgressBoard::end() {
  const std::lock_guard lock(mutex_);
  if (!now_.task_id.empty()) finished_.push_back(now_.task_id);
  if (finished_.size() > 16) finished_.pop_front();
  now_.job_id.clear();
  now_.task_id.clear();
  now_.job.clear();
  now_.text.clear();
  now_.job_count = 0;
  preview_ = nullptr;
}

ProgressSnapshot ProgressBoard::snapshot() const {
  const std::lock_guard lock(mutex_);
  ProgressSnapshot copy = now_;
  copy.seconds = copy.job_id.empty() ? 0 : seconds();
  return copy;
}

double ProgressBoard::seconds() const {
  return std::chrono::duration<double>(Clock::now() - start_).count();
}

std::shared_ptr<const image::Picture> ProgressBoard::preview() const {
  const std::lock_guard lock(mutex_);
  return preview_;
}

bool ProgressBoard::is_finished_task(const std::string& task_id) const {
  const std::lock_guard lock(mutex_);
  return std::ranges::find(finished_, task_id) != finished_.end();
}

void ProgressBoard::want_preview() const {
  wanted_ = Clock::now().time_since_epoch().count();
}

bool ProgressBoard::is_preview_wanted() const {
  const auto last = wanted_.load();
  return last != 0 && Clock::now() - Clock::time_point(Clock::duration(last)) < std::chrono::seconds(30);
}

}  // namespace lowrank::server
