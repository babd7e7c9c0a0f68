// Short trainings of a LoRA on a tiny model, for the tests of this room.
#pragma once

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <iterator>
#include <stop_token>
#include <string>

#include "base/error.h"
#include "formats/hashes.h"
#include "training/lora/lora_trainer.h"
#include "training/picture_folder.h"
#include "weights/tensor_file.h"

namespace lowrank::testing {

// Turns all bits of one byte round; `at` below 0 counts from the end.
inline void change_byte(const std::filesystem::path& path, std::int64_t at) {
  std::fstream file(path, std::ios::in | std::ios::out | std::ios::binary);
  const auto size = static_cast<std::int64_t>(std::filesystem::file_size(path));
  const std::int64_t place = at < 0 ? size + at : at;
  file.seekg(place);
  const char byte = static_cast<char>(~file.get());
  file.seekp(place);
  file.put(byte);
}

inline std::string bytes_of(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

}  // namespace lowrank::testing

namespace lowrank::training {

class LoraRuns : public ::testing::Test {
 protected:
  LoraRuns() {
    testing::write_tiny_checkpoint(folder_.path() / "tiny.safetensors");
    for (int i = 0; i < 4; ++i)
      testing::write_example(folder_.path() / "data/2_3dmm style" / (std::to_string(i) + ".png"), 64, 64, i,
                             "3dmm style, disc " + std::to_string(i) + ", plain ground");
  }

  LoraTrainOptions options(const std::string& output = "out") const {
    LoraTrainOptions o;
    o.data = {.folder = folder_.path() / "data", .buckets = {.resolution = {64, 64}}, .batch_size = 2};
    o.network_rank = 4;
    o.network_alpha = 2;
    o.learning_rate = 2e-3;
    o.max_steps = 10;
    o.seed = 7;
    o.data.flip_aug = true;
    o.data.captions = {.dropout_rate = 0.2, .shuffle = true, .keep_tokens = 1};
    o.noise_offset = 0.05;
    o.output_dir = folder_.path() / output;
    o.output_name = "style";
    o.save_precision = SavePrecision::kFloat;
    return o;
  }

  LoraTrainResult train(const LoraTrainOptions& o, RunControl control = {}) const {
    auto model = pipeline::load_model(folder_.path() / "tiny.safetensors");
    return train_lora(model, Dataset::open(o.data), o, control);
  }

  // Trains until `steps` steps are finished, then stops as Ctrl-C does.
  void interrupt(const LoraTrainOptions& o, std::int64_t steps) const {
    std::stop_source source;
    RunControl control;
    control.stop = source.get_token();
    control.after_step = [&](std::int64_t done) {
      if (done == steps) source.request_stop();
    };
    try {
      train(o, control);
      FAIL() << "the run was not stopped";
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), kCancelled);
      EXPECT_THAT(error.what(), ::testing::HasSubstr("style-state.safetensors"));
    }
    EXPECT_TRUE(std::filesystem::exists(o.state_file()));
    EXPECT_FALSE(std::filesystem::exists(o.output_file()));
  }

  static std::string data_hash(const std::filesystem::path& path) {
    return formats::addnet_hash(*weights::TensorFile::open(path));
  }

  testing::TemporaryFolder folder_;
};

}  // namespace lowrank::training
