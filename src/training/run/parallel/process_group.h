// Several processes that train one LoRA together, on one machine or several: each computes its share of every batch, and
// the gradients are summed. They find each other as torchrun's processes do, by the environment variables RANK,
// WORLD_SIZE, MASTER_ADDR and MASTER_PORT, and speak through libtorch's own c10d with Gloo over TCP. Messages are neither
// encrypted nor authenticated: only for networks whose machines are all trusted.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "training/optim/optimiser.h"

namespace lowrank::training {

struct ParallelPlace {
  int rank = 0, processes = 1;
  std::string address;  // of the process of rank 0
  int port = 29500;
};

// Without WORLD_SIZE, or where it is 1: one process. Throws Error(kBadInput) naming the variable that is missing or no
// number in its range.
ParallelPlace parallel_place(const std::function<const char*(const char* name)>& variable);

class ProcessGroup {
 public:
  // Waits until all have come, ten minutes at most. Throws Error(kIo) telling who was waited for, Error(kUnsupported) where
  // libtorch was built without Gloo.
  explicit ProcessGroup(const ParallelPlace& place);
  ~ProcessGroup();
  ProcessGroup(const ProcessGroup&) = delete;
  ProcessGroup& operator=(const ProcessGroup&) = delete;

  int rank() const;
  int processes() const;
  // Of the processes, the one that saves, draws and tells.
  bool is_writer() const { return rank() == 0; }

  // Each parameter's gradient becomes the sum of all processes' ones; where none of them has one, it stays undefined.
  // Returns the sum of `loss`. All processes must call it with the same parameters. Throws Error(kIo) at once when another
  // one has ended, after two hours when it is silent.
  double sum_gradients(const std::vector<TrainedParameter>& parameters, double loss);

  // The writer's bytes, in all processes.
  std::string broadcast(const std::string& bytes);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace lowrank::training
