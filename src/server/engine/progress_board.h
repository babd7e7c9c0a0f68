// How far the running job is, written by the engine's thread and read by everybody. A1111's numbers.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <deque>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>

#include "image/picture.h"

namespace lowrank::server {

struct ProgressSnapshot {
  std::string job_id, task_id, kind;  // job_id "": nothing runs
  std::string job;                    // "Batch 1 out of 4", "scripts_txt2img"
  int job_count = 0, job_no = 0, sampling_step = 0, sampling_steps = 0;
  std::string job_timestamp;  // YYYYMMDDHHMMSS, of the last job when nothing runs
  bool skipped = false, interrupted = false;
  double seconds = 0;            // since it began
  std::uint64_t preview_id = 0;  // rises with each preview; 0: none yet
  std::string text;              // what is being done, "" nothing special
  std::string phase;             // of a training: "latents", "lora"
  double loss = 0;               // of a training, moving average; 0: none yet
  // Where a training's phase was first heard of, in seconds and progress: one that goes on does not begin at nothing.
  std::string begun_phase;
  double begun_seconds = 0, begun_progress = 0;

  double progress() const;  // 0 … 1
  double eta() const;       // seconds left, 0: not known
};

struct ProgressStep {
  int batch = 0, batches = 1, pass = 0, passes = 1;  // from 0; hires fix makes two passes
  int step = 0, steps = 0;
  int done = 0;          // jobs of the requests of a series before this one
  std::string job = {};  // what is being done, instead of "Batch 1 out of 4"
};

class ProgressBoard {
 public:
  void begin(const std::string& job_id, const std::string& task_id, std::string_view kind, int job_count);
  void step(const ProgressStep& step);
  void say(const std::string& text);
  void learn(const std::string& phase, double loss);
  void show(image::Picture preview);
  void mark(bool skipped, bool interrupted);
  void end();

  ProgressSnapshot snapshot() const;
  // The latest preview; nullptr when there is none.
  std::shared_ptr<const image::Picture> preview() const;
  bool is_finished_task(const std::string& task_id) const;  // among the last sixteen

  // Previews cost time: they are made while someone has asked for one within the last half minute.
  void want_preview() const;
  bool is_preview_wanted() const;

 private:
  using Clock = std::chrono::steady_clock;
  double seconds() const;     // since begin(); with mutex_ held
  mutable std::mutex mutex_;  // guards everything but wanted_
  ProgressSnapshot now_;
  Clock::time_point start_;
  std::shared_ptr<const image::Picture> preview_;
  std::deque<std::string> finished_;
  mutable std::atomic<Clock::rep> wanted_{0};
};

}  // namespace lowrank::server
