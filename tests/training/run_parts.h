// Stopping a training at a chosen step, and comparing models bit for bit, for the tests of this room.
#pragma once

#include <ATen/ATen.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdint>
#include <functional>
#include <stop_token>
#include <string>

#include "base/error.h"
#include "model/layer.h"
#include "model/random.h"
#include "tensor/state_dict.h"
#include "training/run/run_control.h"
#include "training/run/train_state.h"

namespace lowrank::testing {

// Calls train(control) and stops it, as Ctrl-C does, when `done` steps of the phase are finished.
inline void interrupt_after(const std::string& phase, std::int64_t done,
                            const std::function<void(const training::RunControl&)>& train) {
  std::stop_source source;
  training::RunControl control;
  control.stop = source.get_token();
  control.report = [&](const training::TrainEvent& event) {
    if (event.phase == phase && event.step == done) source.request_stop();
  };
  try {
    train(control);
    FAIL() << "the run was not stopped";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), kCancelled) << error.what();
    EXPECT_THAT(error.what(), ::testing::HasSubstr("stopped after step " + std::to_string(done)));
    EXPECT_THAT(error.what(), ::testing::HasSubstr(phase + "-state.safetensors"));
  }
}

// Equal for equal names, shapes and bytes.
inline std::string fingerprint(const model::LayerMap& layers) {
  tensor::StateDict state;
  for (const auto& [name, tensor] : model::parameters(layers)) state.emplace(name, tensor);
  return training::checksum(state);
}

// A component of the tiny model with random weights that can be trained.
template <class Model>
Model tiny_component(formats::Component component, std::uint64_t seed = 1) {
  Model made(model::random_state(model::model_spec("tiny"), component, seed));
  model::widen(made.layers());
  return made;
}

inline double mean(const std::vector<double>& values, std::size_t from, std::size_t to) {
  double sum = 0;
  for (std::size_t i = from; i < to; ++i) sum += values[i];
  return sum / static_cast<double>(to - from);
}

}  // namespace lowrank::testing
