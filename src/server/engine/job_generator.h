// Makes the pictures of one job: reports progress, applies its clients' skip and interrupt, saves finished pictures.
#pragma once

#include <string>

#include "pipeline/session.h"
#include "server/engine/output_folder.h"
#include "server/engine/progress_board.h"
#include "server/queue/event_log.h"
#include "server/queue/job_queue.h"
#include "server/requests/generation_task.h"

namespace lowrank::server {

class JobGenerator {
 public:
  struct Watchers {
    ProgressBoard& board;
    EventLog& events;
    OutputFolder& outputs;
  };
  JobGenerator(const Watchers& watchers, const RunningJob& job, const GenerationTask& task)
      : watchers_(watchers), job_(job), task_(task) {}

  pipeline::GenerationResult make(pipeline::Session& session, const request::GenerationRequest& request);

  // In a series: the next request's number of how many, and A1111's jobs of those before it.
  void announce(std::size_t number, std::size_t count, int jobs_before);
  bool is_interrupted() const { return job_.control->interrupt; }

 private:
  void report(const request::GenerationRequest& request, const pipeline::StepEvent& event);
  void save(const pipeline::GeneratedPicture& picture);

  Watchers watchers_;
  const RunningJob& job_;
  const GenerationTask& task_;
  std::string announced_;
  int jobs_before_ = 0;
};

// What A1111 counts as jobs of a request: its batches, twice with hires fix.
int job_count(const request::GenerationRequest& request);

}  // namespace lowrank::server
