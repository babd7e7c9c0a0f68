// Files that change under a session: loaded anew before the next picture, and told when it happens during one.
#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <algorithm>
#include <fstream>
#include <iterator>

#include "base/sha256.h"
#include "pipeline/tiny_session.h"
#include "support/temporary_folder.h"
#include "weights/tensor_file.h"

namespace lowrank::pipeline {
namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;

class ChangingFiles : public ::testing::Test {
 protected:
  ChangingFiles() {
    fs::copy_file(lowrank::testing::tiny_folder() / "sd15-tiny.safetensors", checkpoint_);
    fs::copy_file(lowrank::testing::tiny_folder() / "sd15-tiny-lora_attn.safetensors", lora_);
  }

  Session session() const {
    Resources resources = lowrank::testing::tiny_resources();
    resources.checkpoint = [this](const std::string&) { return checkpoint_; };
    resources.lora = [this](const std::string&) { return lora_; };
    return Session(std::move(resources), {.threads = 1, .version = "LowRank test"});
  }
  static request::GenerationRequest request() { return lowrank::testing::tiny_request("a fox <lora:fox:1>"); }
  static image::Picture draw(Session& session) { return session.generate(request()).pictures.at(0).picture; }

  static std::string contents(const fs::path& path) {
    std::ifstream in(path, std::ios::binary);
    return {std::istreambuf_iterator<char>(in), {}};
  }
  // The file with all numbers of some layers the other way round: of the same size, and just as sound.
  static std::string other_contents(const fs::path& path, std::string_view part) {
    std::string bytes = contents(path);
    const auto file = weights::TensorFile::open(path);
    for (const auto& view : file->tensors()) {
      if (view.name.find(part) == std::string::npos || view.shape.size() < 2) continue;
      const auto item = weights::item_size(view.dtype);
      const auto begin = static_cast<std::size_t>(view.bytes.data() - file->file_bytes().data());
      for (std::size_t i = item - 1; i < view.bytes.size(); i += item) bytes[begin + i] ^= '\x80';
    }
    return bytes;
  }
  // Into the same file, or by renaming another one; the date stays what it was.
  enum class How { kWrite, kRename };
  static void replace(const fs::path& path, const std::string& bytes, How how) {
    const auto date = fs::last_write_time(path);
    const fs::path target = how == How::kWrite ? path : fs::path(path.string() + ".new");
    std::ofstream(target, std::ios::binary) << bytes;
    fs::last_write_time(target, date);
    if (how == How::kRename) fs::rename(target, path);
  }

  lowrank::testing::TemporaryFolder folder_;
  const fs::path checkpoint_ = folder_.path() / "model.safetensors";
  const fs::path lora_ = folder_.path() / "fox.safetensors";
};

TEST_F(ChangingFiles, AnExchangedCheckpointIsLoadedAnew) {
  for (const How how : {How::kWrite, How::kRename}) {
    Session resident = session();
    const image::Picture before = draw(resident);
    replace(checkpoint_, other_contents(checkpoint_, "input_blocks.0.0.weight"), how);
    Session fresh = session();
    const auto result = resident.generate(request());
    EXPECT_EQ(result.pictures.at(0).picture, draw(fresh));
    EXPECT_NE(result.pictures.at(0).picture, before);
    EXPECT_THAT(result.pictures.at(0).metadata,
                HasSubstr("Model hash: " + sha256_file_hex(checkpoint_).substr(0, 10)));
  }
}

TEST_F(ChangingFiles, AnExchangedLoraIsReadAnew) {
  for (const How how : {How::kWrite, How::kRename}) {
    Session resident = session();
    const image::Picture before = draw(resident);
    replace(lora_, other_contents(lora_, "lora_up"), how);
    Session fresh = session();
    const image::Picture after = draw(resident);
    EXPECT_EQ(after, draw(fresh));
    EXPECT_NE(after, before);
  }
}

// Cut short, as `cp` does before it writes. Without a guard the program ends with SIGBUS.
TEST_F(ChangingFiles, AFileThatShrinksDuringAPictureIsToldAndNothingIsHandedOut) {
  Session resident = session();
  const image::Picture sound = draw(resident);
  for (const fs::path& path : {lora_, checkpoint_}) {
    const std::string whole = contents(path);
    int handed_out = 0;
    Listener listener;
    listener.on_step = [&](const StepEvent& event) {
      if (event.step == 1) fs::resize_file(path, 100);
    };
    listener.on_picture = [&](const auto&) { ++handed_out; };
    try {
      resident.generate(request(), listener);
      ADD_FAILURE() << path << " changed without a word";
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), kConflict);
      EXPECT_THAT(error.what(), HasSubstr(path.string() + ": the file changed while it was in use"));
    }
    EXPECT_EQ(handed_out, 0);
    // The half-written file is no riddle either, and the whole one draws as ever.
    EXPECT_THROW(resident.generate(request()), Error);
    std::ofstream(path, std::ios::binary) << whole;
    EXPECT_EQ(draw(resident), sound);
  }
}

// One factor that is not a number: no smaller weight helps, so the file is named.
TEST_F(ChangingFiles, ALoraThatIsNotFiniteIsNamed) {
  std::string bytes = contents(lora_);
  const auto file = weights::TensorFile::open(lora_);
  const auto view = std::ranges::find_if(file->tensors(), [](const auto& t) {
    return t.name.find("unet") != std::string::npos && t.shape.size() == 2;
  });
  ASSERT_NE(view, file->tensors().end());
  const auto item = weights::item_size(view->dtype);
  const auto begin = static_cast<std::size_t>(view->bytes.data() - file->file_bytes().data());
  std::fill_n(bytes.begin() + static_cast<std::ptrdiff_t>(begin), item, '\xff');  // a NaN in every float type
  replace(lora_, bytes, How::kRename);
  Session session = this->session();
  try {
    draw(session);
    FAIL() << "a picture was drawn";
  } catch (const Error& error) {
    EXPECT_THAT(error.what(), HasSubstr(lora_.filename().string()));
    EXPECT_THAT(error.what(), HasSubstr("infinite values in 1 of its modules"));
  }
}

TEST_F(ChangingFiles, APipeInALorasPlaceIsRefusedAtOnce) {
  Session resident = session();
  fs::remove(lora_);
  ASSERT_EQ(::mkfifo(lora_.c_str(), 0600), 0);
  try {
    draw(resident);
    ADD_FAILURE() << "a pipe is no LoRA";
  } catch (const Error& error) {
    EXPECT_THAT(error.what(), HasSubstr("not a regular file"));
  }
}

// Training holds the model that it trains on: drawing samples must not exchange it.
TEST_F(ChangingFiles, AHeldModelStays) {
  Session resident = session();
  const LoadedModel& model = resident.use_model(request());
  {
    const Residents::Hold hold(resident.residents(), model);
    replace(checkpoint_, other_contents(checkpoint_, "input_blocks.0.0.weight"), How::kRename);
    EXPECT_EQ(&resident.use_model(request()), &model);
  }
  EXPECT_TRUE(resident.use_model(request()).is_current());
}

}  // namespace
}  // namespace lowrank::pipeline
