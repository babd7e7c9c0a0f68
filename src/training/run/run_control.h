// What every training loop shares: how often it saves, how it is stopped and what it tells.
#pragma once

#include <cstdint>
#include <functional>
#include <stop_token>
#include <string>

namespace lowrank::training {

struct TrainEvent {
  // "vae", "base", "lora"; "latents" and "samples" count pictures and have no loss; "validation": step_loss is the loss
  // of the pictures held out, after that step.
  std::string phase;
  std::int64_t step = 0;  // finished steps
  std::int64_t steps = 0;
  double loss = 0;  // moving average
  double learning_rate = 0;
  double steps_per_second = 0;
  double step_loss = 0;    // of this step alone
  double rate_factor = 1;  // learning_rate as a share of its peak
  double seconds = 0;      // of this step alone
};

struct RunControl {
  std::function<void(const TrainEvent&)> report = [](const TrainEvent&) {};
  // Facts for the user, one sentence each: where it resumes, what was cut …
  std::function<void(const std::string&)> say = [](const std::string&) {};
  // Called after each step, with gradients off, when everything that is due has been saved.
  std::function<void(std::int64_t done)> after_step = [](std::int64_t) {};
  std::stop_token stop;
  std::int64_t save_every = 500;  // steps between saved states
};

}  // namespace lowrank::training
