// What is kept of a training besides its LoRA, so that it can be watched, stopped and gone on with, also after a
// reload of the page or a restart of the server. One folder per LoRA name, overwritten by the next training of that
// name:
//
//   NAME/run.json   NAME/loss.csv   NAME/samples/NAME_000100_00.png   NAME/NAME-state.safetensors
//
// Safe to use from any thread; a run is recorded by the engine's thread alone.
#pragma once

#include <cstdint>
#include <filesystem>
#include <fstream>
#include <optional>
#include <string>
#include <vector>

#include "server/json.h"

namespace lowrank::server {

struct LossPoint {
  std::int64_t step = 0;
  double loss = 0;
};

struct SamplePicture {
  std::string file;  // "fox_000100_00.png"
  std::int64_t step = 0;
  int index = 0;  // of its prompt, from 0
};

struct TrainingRun {
  std::string name, job;
  double begun = 0;                   // Unix seconds, of its last beginning
  std::int64_t steps = 0;             // to make; 0: not known yet
  std::optional<std::int64_t> state;  // step from which it can go on, about; nullopt: it cannot
  std::optional<std::int64_t>
      finished;                        // steps of a finished run whose state is kept: more can go on from it
  Json request = Json::object();       // what was asked for
  std::vector<LossPoint> losses;       // of every finished step
  std::vector<SamplePicture> samples;  // by step
};

class TrainingRuns {
 public:
  explicit TrainingRuns(std::filesystem::path root) : root_(std::move(root)) {}

  std::filesystem::path folder(const std::string& name) const { return root_ / name; }
  std::filesystem::path samples_folder(const std::string& name) const { return folder(name) / "samples"; }

  std::vector<std::string> names() const;
  // nullopt: nothing is kept under this name.
  std::optional<TrainingRun> open(const std::string& name) const;
  std::optional<std::filesystem::path> sample(const std::string& name, const std::string& file) const;
  void forget(const std::string& name) const;

  // Writes down one run while it goes.
  class Recorder {
   public:
    Recorder(const TrainingRuns& runs, const std::string& name, const std::string& job,
             const std::string& request);
    // `step` is finished. The first one tells where the run began: what an earlier run left from there on goes.
    void step(std::int64_t step, std::int64_t steps, double loss);

   private:
    void begin(std::int64_t first, std::int64_t steps);

    const TrainingRuns& runs_;
    const std::string name_;
    Json about_;
    std::ofstream losses_;
  };

 private:
  const std::filesystem::path root_;
};

// At most `most` points: neighbours become their mean, at the last one's step.
std::vector<LossPoint> thinned(const std::vector<LossPoint>& losses, std::size_t most);

}  // namespace lowrank::server
