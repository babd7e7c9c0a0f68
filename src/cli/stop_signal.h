// Ctrl-C, kill and the end of the terminal: the first asks for a stop, which long work honours within a step; the
// second ends the process at once, as it would without us.
#pragma once

#include <stop_token>
#include <thread>

namespace lowrank::cli {

class StopSignal {
 public:
  // Listens for SIGINT, SIGTERM and, unless it is ignored as under nohup, SIGHUP until destroyed. At most one object at
  // a time.
  StopSignal();
  ~StopSignal();
  StopSignal(const StopSignal&) = delete;
  StopSignal& operator=(const StopSignal&) = delete;

  std::stop_token token() const { return source_.get_token(); }

 private:
  std::stop_source source_;
  int pipe_[2] = {-1, -1};
  std::thread watcher_;
};

}  // namespace lowrank::cli
