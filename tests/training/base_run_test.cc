#include "training/scratch/base_run.h"

#include <ATen/ATen.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <set>

#include "pipeline/checkpoint_loader.h"
#include "training/picture_folder.h"
#include "training/run_parts.h"
#include "weights/tensor_file.h"

namespace lowrank::training {
namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;

class BaseRun : public ::testing::Test {
 protected:
  BaseRun() {
    for (int i = 0; i < 3; ++i)
      testing::write_example(pictures() / (std::to_string(i) + ".png"), 64, 64, i,
                             "disc " + std::to_string(i));
  }

  fs::path pictures() const { return folder_.path() / "pictures"; }
  BaseTraining options(const std::string& name = "out") const {
    BaseTraining o;
    o.pictures = pictures();
    o.work = folder_.path() / (name + ".state");
    o.out = folder_.path() / (name + ".safetensors");
    o.shape = "tiny";
    o.vae = {.steps = 3, .warmup = 1, .batch = 4, .crop = 16, .full_size_steps = 1};
    o.base = {.steps = 3, .warmup = 1, .batch = 2};
    fs::create_directories(o.work);
    return o;
  }
  // The error, and whether any step was taken before it.
  std::pair<std::string, bool> refusal(const BaseTraining& o) const {
    bool has_begun = false;
    RunControl control;
    control.report = [&](const TrainEvent&) { has_begun = true; };
    try {
      run_base_training(o, control);
    } catch (const Error& error) {
      return {error.what(), has_begun};
    }
    return {"", has_begun};
  }
  static std::string tensors(const fs::path& path) {
    const auto file = weights::TensorFile::open(path);
    tensor::StateDict state;
    for (const auto& view : file->tensors()) state.emplace(view.name, tensor::as_tensor(view, file));
    return checksum(state);
  }

  testing::TemporaryFolder folder_;
};

TEST_F(BaseRun, StoppedInEitherPhaseAndResumedEqualsUninterruptedBitForBit) {
  std::set<std::string> phases;
  RunControl control;
  control.report = [&](const TrainEvent& event) { phases.insert(event.phase); };
  run_base_training(options("whole"), control);
  EXPECT_EQ(phases, (std::set<std::string>{"base", "vae"}));
  for (const auto& [phase, done] : {std::pair{"vae", 2}, {"base", 1}})
    testing::interrupt_after(
        phase, done, [&](const RunControl& stopping) { run_base_training(options("parts"), stopping); });
  EXPECT_FALSE(fs::exists(options("parts").out));
  run_base_training(options("parts"), {});
  EXPECT_EQ(tensors(options("parts").out), tensors(options("whole").out));
}

TEST_F(BaseRun, TheCheckpointIsReadAsOneAndItsAutoencoderCanBeKept) {
  const BaseTraining first = options("first");
  run_base_training(first, {});
  const auto model = pipeline::load_model(first.out);
  EXPECT_EQ(model.native_size, 128);
  BaseTraining second = options("second");
  second.start = first.out;
  second.base.seed = 9;
  run_base_training(second, {});
  EXPECT_FALSE(fs::exists(second.work / "vae-state.safetensors")) << "no second autoencoder is trained";
  const auto a = weights::TensorFile::open(first.out), b = weights::TensorFile::open(second.out);
  int kept = 0, learned = 0;
  for (const auto& view : a->tensors()) {
    const bool is_equal = at::equal(tensor::as_tensor(view, a), tensor::as_tensor(*b->find(view.name), b));
    if (view.name.starts_with("first_stage_model.")) {
      EXPECT_TRUE(is_equal) << view.name;
      ++kept;
    } else {
      learned += is_equal ? 0 : 1;
    }
  }
  EXPECT_GT(kept, 10);
  EXPECT_GT(learned, 10);
}

TEST_F(BaseRun, WrongPicturesAndCaptionsAreToldBeforeTheFirstStep) {
  const auto [told, has_begun] = refusal(options());
  EXPECT_EQ(told, "");
  EXPECT_TRUE(has_begun);
  const auto refused = [&](const std::string& name, const std::string& says) {
    const auto [error, began] = refusal(options(name));
    EXPECT_THAT(error, HasSubstr(says)) << name;
    EXPECT_FALSE(began) << name;
  };
  testing::write_example(pictures() / "z.png", 64, 64, 4, "");
  refused("caption", "z.png: the picture has no caption");
  testing::write_example(pictures() / "z.png", 64, 72, 4, "a disc");
  refused("size", "z.png: is 64×72");
  testing::write_text(pictures() / "z.png", "no picture");
  refused("content", "z.png");
  fs::remove(pictures() / "z.png");
  testing::write_example(pictures() / "0.png", 36, 64, 4, "a disc");
  refused("step", "0.png: is 36×64; sides must be multiples of 8");
  fs::remove_all(pictures());
  refused("folder", "contains no pictures");
}

TEST_F(BaseRun, CaptionsThatAreCutAreTold) {
  std::string text;
  for (int i = 0; i < 80; ++i) text += "fox ";
  testing::write_text(pictures() / "1.txt", text);
  std::vector<std::string> said;
  RunControl control;
  control.say = [&](const std::string& sentence) { said.push_back(sentence); };
  run_base_training(options(), control);
  EXPECT_THAT(said, ::testing::Contains(HasSubstr("1.png: the caption is 5 tokens too long")));
}

TEST_F(BaseRun, AFileThatThisTrainingDidNotMakeIsNotReplaced) {
  testing::write_text(options().out, "mine");
  const auto [error, has_begun] = refusal(options());
  EXPECT_THAT(error, HasSubstr("out.safetensors"));
  EXPECT_FALSE(has_begun);
  EXPECT_EQ(fs::file_size(options().out), 4u);
}

TEST_F(BaseRun, AChangedPictureDoesNotGoOnFromTheStateOfTheOldOne) {
  testing::interrupt_after("base", 1,
                           [&](const RunControl& control) { run_base_training(options(), control); });
  testing::write_example(pictures() / "1.png", 64, 64, 7, "");
  EXPECT_THAT(refusal(options()).first, HasSubstr("pictures"));
}

}  // namespace
}  // namespace lowrank::training
