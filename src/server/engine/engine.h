// The one thread that owns the resident model. It takes jobs from the queue, draws, and hands results back;
// everybody else reads snapshots.
#pragma once

#include <atomic>
#include <chrono>
#include <functional>
#include <future>
#include <memory>
#include <mutex>
#include <string>
#include <thread>

#include "pipeline/session.h"
#include "server/catalog/model_catalog.h"
#include "server/engine/output_folder.h"
#include "server/engine/progress_board.h"
#include "server/engine/training_runs.h"
#include "server/options/option_store.h"
#include "server/queue/job_queue.h"
#include "server/requests/generation_task.h"

namespace lowrank::server {

struct EngineParts {
  JobQueue& queue;
  EventLog& events;
  OptionStore& options;
  ModelCatalog& catalog;
  OutputFolder& outputs;
  TrainingRuns& trainings;
  pipeline::Resources resources;
  pipeline::SessionOptions session;
  GenerationLimits limits;
  UseLocalNames use_local_names;
};

class Engine {
 public:
  explicit Engine(EngineParts parts);
  // Ends the queue first; waits for the running step.
  ~Engine();
  Engine(const Engine&) = delete;
  Engine& operator=(const Engine&) = delete;

  // Runs on the engine's thread between jobs. Waits until it has, or `is_client_gone`; throws what it throws.
  void run_task(std::function<void(pipeline::Session&)> task, const std::function<bool()>& is_client_gone);
  // Loads the request's checkpoint unless it is resident.
  void load(const request::GenerationRequest& request, const std::function<bool()>& is_client_gone);
  // Frees the model's memory; the next job loads it again.
  void unload(const std::function<bool()>& is_client_gone);

  const ProgressBoard& board() const { return board_; }
  // Path of the resident checkpoint; "" when there is none.
  std::string resident() const;
  struct Totals {
    std::uint64_t pictures = 0;
    double busy_seconds = 0;
  };
  Totals totals() const;

 private:
  void work();
  void run_job(const RunningJob& job);
  std::shared_ptr<Outcome> outcome_of(const RunningJob& job);
  std::shared_ptr<Outcome> generate(const RunningJob& job, GenerationKind kind);
  std::shared_ptr<Outcome> train(const RunningJob& job);
  std::shared_ptr<Outcome> extras(const RunningJob& job);
  pipeline::Session& session();

  EngineParts parts_;
  ProgressBoard board_;
  std::unique_ptr<pipeline::Session> session_;
  mutable std::mutex mutex_;  // guards the next two
  std::string resident_;
  Totals totals_;
  std::thread thread_;
};

}  // namespace lowrank::server
