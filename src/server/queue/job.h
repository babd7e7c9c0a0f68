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
#include "server/queue/job_kind.h"

namespace lowrank::server {

enum class JobState { kQueued, kRunning, kCompleted, kFailed, kCancelled };
std::string_view job_state_name(JobState state);  // "queued" …
std::optional<JobState> job_state_from_name(std::string_view name);
inline bool is_end(JobState state) {
  return state != JobState::kQueued && state != JobState::kRunning;
}

// Why a job has not come to what was asked for. kCancelled: its client wanted it no longer; kStopped: the server ended.
// kUnknownName and kNotFound: the request names a sampler, or a picture, that does not exist.
enum class Cause { kNone, kCancelled, kStopped, kBadInput, kUnknownName, kNotFound, kConflict, kInternal };

// What is asked for. The request is A1111's JSON, as it came.
struct JobRequest {
  JobKind kind = JobKind::kTextToImage;
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
  Cause cause = Cause::kNone;
  Json detail = "";  // of a failure: a sentence or a list of faults
  std::vector<EncodedPicture> pictures;
  Json answer = Json::object();  // without the pictures: A1111's `parameters` and `info` …

  static std::shared_ptr<Outcome> of(JobState state, Cause cause, Json detail) {
    auto outcome = std::make_shared<Outcome>();
    outcome->state = state;
    outcome->cause = cause;
    outcome->detail = std::move(detail);
    return outcome;
  }
};

// A job as others see it.
struct JobView {
  std::string id;
  std::string kind;  // a JobKind's name, or what another release wrote
  std::string task_id;
  JobState state = JobState::kQueued;
  bool is_attached = false;
  int position = 0;                               // of those that wait, from 1; 0: it does not wait
  double created = 0, started = 0, finished = 0;  // Unix seconds; 0: not yet
  int attempts = 0;                               // how often it was begun
  Cause cause = Cause::kNone;
  Json detail = nullptr;
  int pictures = 0;
  bool has_result = false;  // false after the result has been dropped for its age or the room it took
};

}  // namespace lowrank::server
