// What a training meets when it begins or goes on: nothing is replaced unasked, and what does not fit is named before
// a picture is encoded.
#include "training/lora/lora_run_start.h"

#include <ATen/Parallel.h>

#include "training/lora/run_space.h"
#include "training/lora_runs.h"

namespace lowrank::training {
namespace {

using ::testing::AllOf;
using testing::change_byte;
using ::testing::HasSubstr;
using ::testing::Not;
using testing::write_example;
using testing::write_text;

class LoraRunStartTest : public LoraRuns {
 protected:
  // The sentence with which a run is refused; a failure when it encodes a picture first, or is not refused.
  std::string refusal(const LoraTrainOptions& o) const {
    int encoded = 0;
    RunControl control;
    control.report = [&](const TrainEvent& event) { encoded += event.phase == "latents" ? 1 : 0; };
    try {
      train(o, control);
    } catch (const Error& error) {
      EXPECT_EQ(encoded, 0) << error.what();
      return error.what();
    }
    ADD_FAILURE() << "the run was not refused";
    return "";
  }
  std::filesystem::path picture(int number, const char* ending = ".png") const {
    return folder_.path() / "data/2_3dmm style" / (std::to_string(number) + ending);
  }
  static std::string bytes_of(const std::filesystem::path& path) {
    std::ifstream file(path, std::ios::binary);
    return {std::istreambuf_iterator<char>(file), {}};
  }
};

TEST_F(LoraRunStartTest, AFinishedLoraIsReplacedOnlyWhenThatIsAskedFor) {
  LoraTrainOptions o = options();
  o.max_steps = 2;
  o.delete_state = true;
  train(o);
  const std::string before = bytes_of(o.output_file());
  o.max_steps = 4;
  EXPECT_THAT(refusal(o),
              AllOf(HasSubstr("style.safetensors"), HasSubstr("--output-name"), HasSubstr("--fresh")));
  EXPECT_EQ(bytes_of(o.output_file()), before);
  o.output_name = "other";
  EXPECT_EQ(train(o).losses.size(), 4u);
  o.output_name = "style";
  o.fresh = true;
  EXPECT_EQ(train(o).losses.size(), 4u);
  EXPECT_NE(bytes_of(o.output_file()), before);
}

// More steps replace the LoRA of the former end, but nothing that another run or a person put there.
TEST_F(LoraRunStartTest, TrainedFurtherARunReplacesItsOwnLoraOnly) {
  LoraTrainOptions o = options();
  o.max_steps = 2;
  train(o);
  std::filesystem::rename(o.output_file(), folder_.path() / "kept.safetensors");
  write_text(o.output_file(), "mine");
  o.max_steps = 4;
  EXPECT_THAT(refusal(o), AllOf(HasSubstr("style.safetensors"), HasSubstr("--fresh")));
  EXPECT_EQ(bytes_of(o.output_file()), "mine");
  std::filesystem::rename(folder_.path() / "kept.safetensors", o.output_file());
  EXPECT_EQ(train(o).losses.size(), 2u);
}

TEST_F(LoraRunStartTest, ADiskThatIsTooSmallIsToldBeforeTheStart) {
  LoraTrainOptions o = options();
  std::filesystem::create_directories(o.output_dir);
  o.save_every_steps = 10;
  const LoraPlan plan = {.batches_per_epoch = 4, .steps_per_epoch = 4, .epochs = 25, .steps = 100};
  constexpr std::int64_t kMillion = 1'000'000;
  const auto need = [&] { return space_need(o, plan, 0, kMillion, 0); };
  o.save_precision = SavePrecision::kFp16;
  EXPECT_EQ(need().lora_files, 10) << "nine on the way and the last";
  EXPECT_NEAR(static_cast<double>(need().lora_bytes), 2e6, 3e5);
  EXPECT_NEAR(static_cast<double>(need().state_bytes), 12e6, 3e5) << "the numbers and AdamW's two moments";
  o.save_last_steps = 20;
  EXPECT_EQ(need().lora_files, 5) << "three are kept while the fourth is written, and the last";
  o.save_every_epochs = 5;
  EXPECT_EQ(need().lora_files, 9);
  EXPECT_EQ(space_need(o, plan, 90, kMillion, 0).lora_files, 1) << "of what is left";
  const auto with = [&](std::int64_t free, std::uint64_t state_device) -> std::string {
    try {
      require_space(o, need(), [&](const std::filesystem::path& folder) {
        return FreeSpace{free, folder == o.output_dir ? 1 : state_device};
      });
    } catch (const Error& error) {
      return error.what();
    }
    return "";
  };
  EXPECT_EQ(with(60 * kMillion, 1), "");
  EXPECT_THAT(with(30 * kMillion, 1),
              AllOf(HasSubstr("9 LoRA files"), HasSubstr("30 MB are free"), HasSubstr("--save-last-n-steps"),
                    HasSubstr(o.output_dir.string())));
  o.state_dir = folder_.path();
  EXPECT_EQ(with(30 * kMillion, 2), "") << "each disk holds its part";
}

TEST_F(LoraRunStartTest, LorasSavedOnTheWayAreNotReplacedEither) {
  LoraTrainOptions o = options();
  o.save_every_steps = 4;
  write_text(o.output_dir / "style-step00000008.safetensors", "mine");
  EXPECT_THAT(refusal(o), HasSubstr("style-step00000008.safetensors"));
  o.save_every_steps = 0;
  o.save_every_epochs = 1;
  write_text(o.output_dir / "style-000002.safetensors", "mine");
  EXPECT_THAT(refusal(o), HasSubstr("style-000002.safetensors"));
  EXPECT_EQ(bytes_of(o.output_dir / "style-000002.safetensors"), "mine");
}

TEST_F(LoraRunStartTest, WhatAKilledRunWroteItselfDoesNotStopItFromGoingOn) {
  LoraTrainOptions o = options();
  o.save_every_steps = 2;
  RunControl control;
  control.save_every = 3;
  control.after_step = [](std::int64_t done) {
    if (done == 5) throw std::runtime_error("killed");
  };
  EXPECT_THROW(train(o, control), std::runtime_error);  // after the LoRA of step 4, with the state of step 3
  EXPECT_EQ(train(o).losses.size(), 7u);
}

TEST_F(LoraRunStartTest, ALoraIsNoStateToResumeFrom) {
  LoraTrainOptions o = options();
  o.max_steps = 1;
  train(o);
  o.output_name = "more";
  o.resume = options().output_file();
  EXPECT_THAT(refusal(o), AllOf(HasSubstr("--resume"), HasSubstr("style.safetensors"),
                                HasSubstr("not a training state"), HasSubstr("finished LoRA")));
  o.resume = folder_.path() / "nowhere.safetensors";
  EXPECT_THAT(refusal(o), HasSubstr("--resume"));
}

TEST_F(LoraRunStartTest, WhatIsNoStateOfThisRunIsNeitherRemovedNorReplaced) {
  LoraTrainOptions o = options();
  o.max_steps = 1;
  o.output_name = "other";
  train(o);
  o.output_name = "style";
  std::filesystem::copy_file(folder_.path() / "out" / "other.safetensors", o.state_file());
  const std::string before = bytes_of(o.state_file());
  for (const bool fresh : {false, true}) {
    o.fresh = fresh;
    EXPECT_THAT(refusal(o), AllOf(HasSubstr("style-state.safetensors"), HasSubstr("--output-name")));
    EXPECT_EQ(bytes_of(o.state_file()), before);
  }
}

TEST_F(LoraRunStartTest, GoingOnFromElsewhereDoesNotReplaceAnotherRunsState) {
  LoraTrainOptions o = options();
  RunControl control;
  control.save_every = 2;
  control.after_step = [](std::int64_t done) {
    if (done == 3) throw std::runtime_error("killed");
  };
  EXPECT_THROW(train(o, control), std::runtime_error);
  const auto elsewhere = folder_.path() / "elsewhere.safetensors";
  std::filesystem::copy_file(o.state_file(), elsewhere);
  const std::string before = bytes_of(o.state_file());
  o.resume = elsewhere;
  EXPECT_THAT(refusal(o), AllOf(HasSubstr("style-state.safetensors"), HasSubstr("another run")));
  EXPECT_EQ(bytes_of(o.state_file()), before);
  o.fresh = true;
  EXPECT_EQ(train(o).losses.size(), static_cast<std::size_t>(o.max_steps) - 2) << "it is replaced when asked";
}

TEST_F(LoraRunStartTest, AChangedPictureIsNamedWithWhatChanged) {
  const LoraTrainOptions o = options();
  interrupt(o, 2);
  const std::string caption = bytes_of(picture(1, ".txt")), pixels = bytes_of(picture(2));

  write_text(picture(1, ".txt"), "another caption");
  EXPECT_THAT(refusal(o),
              AllOf(HasSubstr("2_3dmm style/1.png has another caption"), Not(HasSubstr("more changed"))));
  write_text(picture(1, ".txt"), caption);

  write_example(picture(2), 64, 64, 7, "");
  EXPECT_THAT(refusal(o), HasSubstr("2_3dmm style/2.png has other content now"));
  write_example(picture(4), 64, 64, 8, "a new one");
  EXPECT_THAT(refusal(o),
              AllOf(HasSubstr("2_3dmm style/2.png has other content now"), HasSubstr("1 more changed")));
  write_text(picture(2), pixels);
  EXPECT_THAT(refusal(o), HasSubstr("2_3dmm style/4.png is new"));
  std::filesystem::remove(picture(4));
  std::filesystem::remove(picture(4, ".txt"));

  std::filesystem::rename(picture(3), folder_.path() / "kept.png");
  EXPECT_THAT(refusal(o), HasSubstr("2_3dmm style/3.png is missing now"));
  std::filesystem::rename(folder_.path() / "kept.png", picture(3));

  LoraTrainOptions larger = o;
  larger.data.buckets.resolution = {128, 128};
  EXPECT_THAT(refusal(larger), HasSubstr("--resolution"));
  EXPECT_EQ(train(o).losses.size(), 8u) << "put back, the run goes on";
}

TEST_F(LoraRunStartTest, AnotherSettingIsNamedAsItsOption) {
  const LoraTrainOptions o = options();
  interrupt(o, 2);
  const auto with = [&](const auto& change) {
    LoraTrainOptions changed = o;
    change(changed);
    return refusal(changed);
  };
  EXPECT_THAT(with([](auto& c) { c.seed = 8; }), HasSubstr("--seed 7, but now uses --seed 8"));
  EXPECT_THAT(with([](auto& c) { c.data.captions.shuffle = false; }), HasSubstr("--shuffle-caption true"));
  EXPECT_THAT(with([](auto& c) { c.data.captions.keep_tokens = 2; }), HasSubstr("--keep-tokens 1"));
  EXPECT_THAT(with([](auto& c) { c.train_text_encoder = false; }),
              HasSubstr("--network-train-unet-only false"));
  EXPECT_THAT(with([](auto& c) { c.scheduler = "cosine"; }), HasSubstr("--lr-scheduler constant"));
  EXPECT_THAT(with([](auto& c) { c.max_steps = 1; }), HasSubstr("--max-train-steps"));
  std::filesystem::copy_file(folder_.path() / "tiny.safetensors", folder_.path() / "old.safetensors");
  change_byte(folder_.path() / "tiny.safetensors", -3);
  EXPECT_THAT(refusal(o), HasSubstr("began with the checkpoint tiny.safetensors ("));
}

TEST_F(LoraRunStartTest, ADamagedStateIsNotGoneOnFrom) {
  const LoraTrainOptions o = options();
  interrupt(o, 2);
  const std::string whole = bytes_of(o.state_file());
  const auto size = static_cast<std::int64_t>(whole.size());
  for (const std::int64_t at : {size - 1, size / 2, size * 3 / 4}) {
    change_byte(o.state_file(), at);
    EXPECT_THAT(refusal(o),
                AllOf(HasSubstr("style-state.safetensors"), HasSubstr("damaged"), HasSubstr("--fresh")))
        << at;
    write_text(o.state_file(), whole);
  }
  // Another step count in the header is as wrong.
  const auto step = whole.find("\"lowrank.step\":\"2\"");
  ASSERT_NE(step, std::string::npos);
  std::string changed = whole;
  changed[step + 16] = '1';
  write_text(o.state_file(), changed);
  EXPECT_THAT(refusal(o), HasSubstr("damaged"));
  write_text(o.state_file(), whole);
  EXPECT_EQ(train(o).losses.size(), 8u);
}

TEST_F(LoraRunStartTest, AFolderHoldsOneRunAtATime) {
  LoraTrainOptions first = options(), second = options();
  first.max_steps = second.max_steps = 2;
  second.output_name = "second";
  RunControl control;
  int refused = 0;
  control.after_step = [&](std::int64_t) {
    EXPECT_THAT(refusal(second), HasSubstr("another training is already running in this folder"));
    ++refused;
  };
  train(first, control);
  EXPECT_EQ(refused, 2);
  train(second);
}

TEST_F(LoraRunStartTest, ARunGoesOnWithTheThreadsThatItBeganWith) {
  const int before = at::get_num_threads();
  at::set_num_threads(1);
  LoraTrainOptions whole = options("whole"), parts = options("parts");
  train(whole);
  interrupt(parts, 4);
  at::set_num_threads(3);
  LoraTrainOptions asked = parts;
  asked.threads = 3;
  EXPECT_THAT(refusal(asked), AllOf(HasSubstr("--threads 1"), HasSubstr("--threads 3")));
  train(parts);
  EXPECT_EQ(at::get_num_threads(), 1);
  EXPECT_EQ(data_hash(whole.output_file()), data_hash(parts.output_file()));
  at::set_num_threads(before);
}

}  // namespace
}  // namespace lowrank::training
