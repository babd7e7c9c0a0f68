// Moving average of the loss and the speed of a training loop, for TrainEvent.
#pragma once

#include <chrono>
#include <cstdint>

namespace lowrank::training {

class LossMeter {
 public:
  void add(double loss) {
    average_ = count_ == 0 ? loss
                           : average_ + (loss - average_) *
                                            (count_ < 50 ? 1.0 / static_cast<double>(count_ + 1) : 0.02);
    ++count_;
  }
  double average() const { return average_; }
  double steps_per_second() const {
    const double seconds = std::chrono::duration<double>(Clock::now() - start_).count();
    return seconds > 0 ? static_cast<double>(count_) / seconds : 0;
  }

 private:
  using Clock = std::chrono::steady_clock;
  Clock::time_point start_ = Clock::now();
  std::int64_t count_ = 0;
  double average_ = 0;
};

}  // namespace lowrank::training
