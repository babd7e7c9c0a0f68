// Every option of LoRA training does what its row says of it: a resumed run repeats it or not, the metadata tell it.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>

#include "request/training/lora_table.h"
#include "training/lora/lora_metadata.h"
#include "training/lora_runs.h"
#include "training/run/train_state.h"

namespace lowrank::training {
namespace {

using request::LoraOption;
using request::LoraTraining;
using request::OnResume;
using ::testing::HasSubstr;

// Another value than the job's, as text; "" when there is none that can be chosen.
std::string other_value(const LoraOption& row, const LoraTraining& job) {
  const std::string now = request::option_text(row, job);
  if (row.flag == "network-args") return "conv_dim=3 conv_alpha=2";
  if (row.flag == "text-encoder-lr") return "0.25";
  if (row.flag == "optimizer-args") return "eps=0.001";
  if (row.flag == "zero-terminal-snr")
    return "";  // this checkpoint predicts epsilon, and cannot be trained with it
  if (row.is_switch()) return now == "true" ? "false" : "true";
  if (row.choices != nullptr) {
    for (const auto& choice : row.choices())
      if (choice != now) return choice;
    return "";
  }
  const auto type = request::option_type(row);
  if (type == "integer") return now == "1" ? "2" : "1";
  if (type == "number") return now == "0.25" ? "0.75" : "0.25";
  return "other";
}

class LoraOptionsTest : public LoraRuns {
 protected:
  LoraTraining changed(const LoraOption& row, const LoraTrainOptions& o) const {
    LoraTraining job{.options = o};
    request::set_option(row, job, other_value(row, job), row.flag);
    return job;
  }
};

TEST_F(LoraOptionsTest, AStateKnowsEveryOptionThatAResumedRunMustRepeat) {
  const LoraTrainOptions o = options();
  interrupt(o, 1);
  const auto state = load_train_state(o.state_file());
  ASSERT_TRUE(state);
  // What is compared otherwise: by hash, by each picture, by what the run does with it.
  std::set<std::string> expected = {"lowrank.phase",   "vae",           "checkpoint.hash",
                                    "checkpoint.name", "pictures.seen", "threads",
                                    "started_at",      "steps",         "number of processes"};
  for (const auto& row : request::lora_options())
    if (row.on_resume == OnResume::kSame) expected.insert(request::field_name(row.flag));
  std::set<std::string> known;
  for (const auto& [key, value] : state->facts) known.insert(key);
  EXPECT_EQ(known, expected);
}

TEST_F(LoraOptionsTest, AnotherValueIsRefusedOnResumeWhereTheRowSaysSoAndOnlyThere) {
  const LoraTrainOptions o = options();
  interrupt(o, 1);
  const auto before = testing::bytes_of(o.state_file());
  auto model = pipeline::load_model(folder_.path() / "tiny.safetensors");
  const Dataset data = Dataset::open(o.data);
  int refused = 0;
  for (const auto& row : request::lora_options()) {
    if (row.on_resume != OnResume::kSame || other_value(row, {.options = o}).empty()) continue;
    try {
      train_lora(model, data, changed(row, o).options, {});
      ADD_FAILURE() << row.flag << " was changed and the run went on";
      break;
    } catch (const Error& error) {
      EXPECT_THAT(error.what(), HasSubstr("the run began with --" + std::string(row.flag)));
      ++refused;
    }
  }
  EXPECT_GT(refused, 20);
  EXPECT_EQ(testing::bytes_of(o.state_file()), before);
  // What is free may change; one run changes it all.
  LoraTraining job{.options = o};
  for (const auto& row : request::lora_options())
    if (row.on_resume == OnResume::kFree && row.place == request::Place::kNone && row.flag != "output-name" &&
        row.flag != "fresh")
      request::set_option(row, job, other_value(row, job), row.flag);
  EXPECT_EQ(train_lora(model, data, job.options, {}).losses.size(), 9u);
}

// A run of a LowRank that did not have an option yet went as one with the option's default does.
TEST_F(LoraOptionsTest, AStateFromBeforeAnOptionCountsAsItsDefault) {
  const LoraTrainOptions o = options();
  interrupt(o, 2);
  auto state = *load_train_state(o.state_file());
  state.facts.erase("optimizer_type");
  state.facts.erase("min_snr_gamma");
  save_train_state(o.state_file(), state);
  LoraTrainOptions other = o;
  other.min_snr_gamma = 5;
  EXPECT_THROW(train(other), Error);
  EXPECT_EQ(train(o).losses.size(), 8u);
}

TEST_F(LoraOptionsTest, TheMetadataTellEveryOptionThatNamesAKey) {
  LoraTrainOptions o = options();
  o.data.buckets.enable = true;
  const auto model = pipeline::load_model(folder_.path() / "tiny.safetensors");
  const Dataset data = Dataset::open(o.data);
  const auto metadata = run_metadata(model, data, o, plan_run(o, data), 0);
  int changes = 0;
  for (const auto& row : request::lora_options()) {
    if (row.metadata == request::kNoMetadata) continue;
    const std::string key(row.metadata);
    // The model card says what a person wrote.
    if (key.starts_with("modelspec.")) continue;
    EXPECT_THAT(key, ::testing::StartsWith("ss_")) << row.flag;
    ASSERT_TRUE(metadata.contains(key)) << row.flag << " names " << key;
    if (row.is_noted_by_run) continue;
    if (other_value(row, {.options = o}).empty()) continue;
    const auto other = changed(row, o).options;
    const auto then = run_metadata(model, data, other, plan_run(other, data), 0);
    EXPECT_NE(then.at(key), metadata.at(key)) << row.flag << " changes nothing of " << key;
    ++changes;
  }
  EXPECT_GT(changes, 20);
}

}  // namespace
}  // namespace lowrank::training
