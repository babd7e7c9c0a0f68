// A piece of work, from its arrival to its one end.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "server/json.h"

namespace lowrank::server {

enum class JobState { kQueued, kRunning, kCompleted, kFailed, kCancelled };
std::string_view job_state_name(JobState state);  // "queued" …
std::optional<JobState> job_state_from_name(std::string_view name);
inline bool is_end(JobState state) {
  return state != JobState::kQueued && state != JobState::kRunning;
}

// Who works on a job: the engine on one after the other, the imports beside it.
enum class Lane { kEngine, kImports };
inline Lane lane_of(std::string_view kind) {
  return kind == "import" ? Lane::kImports : Lane::kEngine;
}

// What is asked for. The request is A1111's JSON, as it came.
struct JobRequest {
  std::string kind;     // "txt2img", "img2img", "extras", "train", "import"
  std::string body;     // JSON text
  std::string task_id;  // A1111's force_task_id; "" none
  // A client waits on its connection for the result: without it the job has no purpose, also after a restart.
  bool is_attached = false;
  std::string idempotency_key;  // "" none
};

struct EncodedPicture {
  std::string mime;
  std::string bytes;
};

// How a job ended.
struct Outcome {
  JobState state = JobState::kCompleted;
  int status = 200;  // HTTP status that tells it
  Json detail = "";  // of a failure: a sentence or a list of faults
  std::vector<EncodedPicture> pictures;
  Json answer = Json::object();  // without the pictures: A1111's `parameters` and `info` …

  static std::shared_ptr<Outcome> of(JobState state, int status, Json detail) {
    auto outcome = std::make_shared<Outcome>();
    outcome->state = state;
    outcome->status = status;
    outcome->detail = std::move(detail);
    return outcome;
  }
};

// A job as others see it.
struct JobView {
  std::string id, kind, task_id;
  JobState state = JobState::kQueued;
  bool is_attached = false;
  int position = 0;                               // of those that wait, from 1; 0: it does not wait
  double created = 0, started = 0, finished = 0;  // Unix seconds; 0: not yet
  int attempts = 0;                               // how often it was begun
  int status = 0;
  Json detail = nullptr;
  int pictures = 0;
  bool has_result = false;  // false after the result has been dropped for its age or the room it took
};

}  // namespace lowrank::server
