// The threads that fetch models, beside the engine: a download does not keep a picture waiting.
#pragma once

#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "library/data_dir.h"
#include "server/imports/import_board.h"
#include "server/queue/event_log.h"
#include "server/queue/job_queue.h"

namespace lowrank::server {

struct ImportParts {
  JobQueue& queue;
  EventLog& events;
  library::DataDir data;
  std::string version;  // of the program, told to the sites
};

class ImportWorkers {
 public:
  explicit ImportWorkers(ImportParts parts);
  // Ends the queue first; waits for the running downloads to stop.
  ~ImportWorkers();
  ImportWorkers(const ImportWorkers&) = delete;
  ImportWorkers& operator=(const ImportWorkers&) = delete;

  const ImportBoard& board() const { return board_; }

 private:
  void work();
  std::shared_ptr<Outcome> run(const RunningJob& job);

  ImportParts parts_;
  ImportBoard board_;
  std::vector<std::jthread> threads_;
};

}  // namespace lowrank::server
