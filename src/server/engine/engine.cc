#include "server/engine/engine.h"

#include "base/error.h"
#include "base/freed_memory.h"
#include "base/log_line.h"
#include "server/http/refusal.h"
#include "server/requests/job_failure.h"

namespace lowrank::server {

Engine::Engine(EngineParts parts) : parts_(std::move(parts)), thread_([this] { work(); }) {}

Engine::~Engine() {
  parts_.queue.stop();
  thread_.join();
}

pipeline::Session& Engine::session() {
  if (!session_) session_ = std::make_unique<pipeline::Session>(parts_.resources, parts_.session);
  return *session_;
}

std::string Engine::resident() const {
  const std::lock_guard lock(mutex_);
  return resident_;
}

Engine::Totals Engine::totals() const {
  const std::lock_guard lock(mutex_);
  return totals_;
}

void Engine::work() {
  for (;;) {
    try {
      const auto work = parts_.queue.take();
      if (!work) return;
      if (work->task) {
        work->task();
      } else {
        run_job(*work->job);
      }
    } catch (const std::exception& error) {
      log_line(stderr, "warning: {}\n", error.what());
      std::this_thread::sleep_for(std::chrono::seconds(1));  // the disk, most likely: try again, slowly
    }
  }
}

void Engine::run_job(const RunningJob& job) {
  const auto start = std::chrono::steady_clock::now();
  std::shared_ptr<Outcome> outcome;
  try {
    outcome = outcome_of(job);
    if (job.control->cancelled && outcome->state == JobState::kCompleted) {
      outcome->state = JobState::kCancelled;
      outcome->cause = Cause::kCancelled;
      outcome->detail = "cancelled; the partial result is kept";
    }
  } catch (...) {
    outcome = failure(std::current_exception());
  }
  {
    const std::lock_guard lock(mutex_);
    totals_.pictures += outcome->pictures.size();
    totals_.busy_seconds += std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  }
  board_.end();
  const bool was_completed = outcome->state == JobState::kCompleted;
  parts_.queue.end(job.id, outcome);
  // What a job took that came to nothing is not what the next one will need.
  if (!was_completed) give_back_freed_memory();
}

std::shared_ptr<Outcome> Engine::outcome_of(const RunningJob& job) {
  switch (job.request.kind) {
    case JobKind::kTextToImage:
      return generate(job, GenerationKind::kText);
    case JobKind::kImageToImage:
      return generate(job, GenerationKind::kImage);
    case JobKind::kExtras:
      return extras(job);
    case JobKind::kTrain:
      return train(job);
    case JobKind::kImport:
      break;  // in a lane of its own
  }
  LOWRANK_CHECK(false);
}

void Engine::run_task(std::function<void(pipeline::Session&)> task,
                      const std::function<bool()>& is_client_gone) {
  auto promise = std::make_shared<std::promise<void>>();
  auto future = promise->get_future();
  parts_.queue.post([this, promise, task = std::move(task)] {
    try {
      task(session());
      promise->set_value();
    } catch (...) {
      promise->set_exception(std::current_exception());
    }
  });
  promise.reset();
  while (future.wait_for(std::chrono::milliseconds(250)) != std::future_status::ready)
    if (is_client_gone()) return;
  try {
    future.get();
  } catch (const std::future_error&) {
    throw Refusal(503, "the server is shutting down.");
  }
}

void Engine::load(const request::GenerationRequest& request, const std::function<bool()>& is_client_gone) {
  run_task(
      [this, request](pipeline::Session& session) {
        session.use_model(request);
        const std::lock_guard lock(mutex_);
        resident_ = request.checkpoint;
      },
      is_client_gone);
}

void Engine::unload(const std::function<bool()>& is_client_gone) {
  run_task(
      [this](pipeline::Session&) {
        session_.reset();
        const std::lock_guard lock(mutex_);
        resident_.clear();
      },
      is_client_gone);
}

}  // namespace lowrank::server
