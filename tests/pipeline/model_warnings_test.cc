// What is told of models that do not fit together, though they load.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "support/changed_model.h"
#include "support/temporary_folder.h"

namespace lowrank {
namespace {

using request::GenerationRequest;
using ::testing::AllOf;
using ::testing::Contains;
using ::testing::HasSubstr;
using ::testing::Not;

class ModelWarnings : public ::testing::Test {
 protected:
  std::string checkpoint(const std::string& set) {
    const auto path = folder_.path() / (set + ".safetensors");
    testing::write_changed(set, path);
    return path.string();
  }
  // The autoencoder of a fixture alone, under that name.
  std::string vae(const std::string& set, const std::string& name) {
    const auto path = folder_.path() / name;
    testing::write_changed(set, path, {}, {},
                           [](const std::string& key) { return key.starts_with("first_stage_model."); });
    return path.string();
  }
  std::vector<std::string> warnings(const std::string& checkpoint, const std::string& vae = "None",
                                    const std::string& refiner = "") {
    GenerationRequest request;
    request.checkpoint = checkpoint;
    request.vae = vae;
    request.refiner_checkpoint = refiner;
    request.refiner_switch_at = request::Decimal(0.5);
    request.steps = 2;
    request.width = request.height = 64;
    return session_.generate(request).warnings;
  }

  testing::TemporaryFolder folder_;
  pipeline::Session session_ = testing::session_of_files();
};

TEST_F(ModelWarnings, AVaeOfAnotherFamilyIsTold) {
  EXPECT_THAT(warnings(checkpoint("sd15-tiny"), vae("sdxl-tiny", "sdxl_vae.safetensors")),
              Contains(AllOf(HasSubstr("sdxl_vae.safetensors is a VAE for SDXL"), HasSubstr("its name"),
                             HasSubstr("an SD 1.x checkpoint"), HasSubstr("--vae None"))));
  EXPECT_THAT(warnings(checkpoint("sdxl-tiny"), vae("sd15-tiny", "vae-ft-mse-840000-ema-pruned.safetensors")),
              Contains(AllOf(HasSubstr("a VAE for SD 1.x or SD 2.x"), HasSubstr("an SDXL checkpoint"))));
}

TEST_F(ModelWarnings, AVaeOfTheFamilyOrOfUnknownOriginIsNot) {
  EXPECT_THAT(warnings(checkpoint("sdxl-tiny"), vae("sdxl-tiny", "sdxl_vae.safetensors")),
              Not(Contains(HasSubstr("a VAE for"))));
  EXPECT_THAT(warnings(checkpoint("sd2-tiny"), vae("sd2-tiny", "vae-ft-mse-840000-ema-pruned.safetensors")),
              Not(Contains(HasSubstr("a VAE for"))));
  EXPECT_THAT(warnings(checkpoint("sd15-tiny"), vae("sdxl-tiny", "mine.safetensors")),
              Not(Contains(HasSubstr("a VAE for"))));
}

TEST_F(ModelWarnings, ARefinerThatIsToBeginAPictureIsTold) {
  EXPECT_THAT(warnings(checkpoint("sdxl-refiner-tiny")),
              Contains(AllOf(HasSubstr("is an SDXL refiner"), HasSubstr("--refiner"))));
  EXPECT_THAT(warnings(checkpoint("sdxl-tiny"), "None", checkpoint("sdxl-refiner-tiny")),
              Not(Contains(HasSubstr("is an SDXL refiner"))));
}

// A checkpoint without a VAE draws with a given one what it draws with its own.
TEST_F(ModelWarnings, ACheckpointWithoutVaeDrawsWithAnother) {
  const auto bare = folder_.path() / "bare.safetensors";
  testing::write_changed("sdxl-tiny", bare, {}, {},
                         [](const std::string& key) { return !key.starts_with("first_stage_model."); });
  GenerationRequest request;
  request.checkpoint = checkpoint("sdxl-tiny");
  request.steps = 2;
  request.seed = 3;
  request.width = request.height = 64;
  const auto whole = session_.generate(request).pictures.at(0).picture;
  request.checkpoint = bare.string();
  request.vae = vae("sdxl-tiny", "sdxl_vae.safetensors");
  EXPECT_EQ(session_.generate(request).pictures.at(0).picture, whole);
  request.vae = "None";
  try {
    session_.generate(request);
    FAIL() << "drew without a VAE";
  } catch (const Error& error) {
    EXPECT_THAT(error.what(), AllOf(HasSubstr("lacks its VAE"), HasSubstr("--vae")));
  }
}

}  // namespace
}  // namespace lowrank
