// The queue on disk. Every change is one transaction, so that at any moment, also after kill -9, a job is
// waiting, being worked on, or has ended exactly once, and a result is there whole or not at all. What concerns
// attached jobs alone does not wait for the disk: after a power cut nobody asks for them.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "request/serve_options.h"
#include "server/queue/job.h"
#include "sqlite/database.h"

namespace lowrank::server {

// How the database and the journal of ends name a cause.
std::string_view cause_name(Cause cause);
std::optional<Cause> cause_named(std::string_view name);
// Of an end that a release before kept by its HTTP status.
Cause cause_of_status(JobState state, std::int64_t status);

// What is kept of jobs that have ended.
struct Retention {
  double seconds = 3600 * request::ServeOptions().keep_results_hours;  // results
  std::int64_t bytes = request::ServeOptions().keep_results_bytes();   // results of all jobs together
  int rows = 10'000;                                                   // jobs, with or without result
};

class JobStore {
 public:
  explicit JobStore(const std::filesystem::path& file);

  // What a killed process left behind: attached jobs are cancelled, since their clients are gone; others that
  // were running wait again, or fail after `max_attempts` beginnings. Returns the ids that wait, in order.
  std::vector<std::string> recover(int max_attempts, double now);

  void insert(const std::string& id, const JobRequest& job_request, double now);
  struct Known {
    std::string id;
    bool same_request = false;
  };
  std::optional<Known> find_key(const std::string& key, const JobRequest& job_request);

  void begin(const std::string& id, bool is_attached, double now);
  // Back to the queue, as if it had not begun: the server is being stopped.
  void put_back(const std::string& id);
  // True when this call ended the job; false when it had ended before.
  bool end(const std::string& id, const Outcome& outcome, double now);

  std::optional<JobView> view(const std::string& id);
  // Newest first; `state` filters, `before` is an id to go on from ("" none).
  std::vector<JobView> list(std::optional<JobState> state, int limit, const std::string& before);
  JobRequest request(const std::string& id);
  std::optional<Json> answer(const std::string& id);
  std::optional<EncodedPicture> picture(const std::string& id, int index);
  // False when the job has not ended or is unknown.
  bool remove(const std::string& id);

  void drop_old(const Retention& retention, double now);
  struct Counts {
    std::int64_t completed = 0, failed = 0, cancelled = 0, result_bytes = 0;
  };
  Counts counts();

 private:
  void migrate();
  void refuse_unknown_kinds(double now);
  JobView read_view(const sqlite::Statement& row) const;
  // Whether what is committed from now on survives a power cut; if not, it survives only the end of the process.
  void set_durable(bool is_durable);

  sqlite::Database database_;
};

}  // namespace lowrank::server
