// TAESD in place of the VAE, and in live previews: what is drawn is what the tiny autoencoder makes of the latents (its own numbers
// are compared with diffusers' in tests/model/tiny_autoencoder_test.cc).
#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <fstream>

#include "pipeline/pictures/latent_picture.h"
#include "prompt/infotext.h"
#include "request/metadata.h"
#include "tensor/state_dict.h"
#include "tiny_session.h"

namespace lowrank::pipeline {
namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

const fs::path kTiny = fs::path(LOWRANK_TEST_FIXTURES) / "tiny-autoencoder";

class TinyAutoencoderSession : public ::testing::Test {
 protected:
  void SetUp() override {
    folder = fs::temp_directory_path() / ("lowrank-tiny-session-" + std::to_string(getpid()));
    fs::create_directories(folder);
  }
  void TearDown() override { fs::remove_all(folder); }

  void put(const char* file, const char* as) const { fs::copy_file(kTiny / file, folder / as); }

  Session session() const {
    Resources resources = testing::tiny_resources();
    resources.tiny_autoencoders = [this] {
      std::vector<fs::path> files;
      for (const auto& entry : fs::directory_iterator(folder)) files.push_back(entry.path());
      std::ranges::sort(files);
      return files;
    };
    return Session(std::move(resources), {.threads = 1, .version = "LowRank test"});
  }

  // The pictures of the batches' latents by the fixture's decoder.
  static std::vector<image::Picture> by_taesd(const std::vector<at::Tensor>& latents) {
    const at::NoGradGuard no_grad;
    const auto file = formats::open_tiny_autoencoder(kTiny / "taesd_decoder.pth");
    const model::TinyDecoder decoder(tensor::as_state_dict(file.decoder, file.file));
    std::vector<image::Picture> pictures;
    for (const at::Tensor& batch : latents)
      for (std::int64_t i = 0; i < batch.size(0); ++i)
        pictures.push_back(to_picture(decoder.decode(batch.narrow(0, i, 1)).select(0, 0)));
    return pictures;
  }

  fs::path folder;
};

TEST_F(TinyAutoencoderSession, DecodesThePictureOnRequestAndTheTextRepeatsIt) {
  put("taesd_decoder.pth", "taesd_decoder.pth");
  Session tiny = session();
  request::GenerationRequest request = testing::tiny_request();
  const auto full = tiny.generate(request);
  request.vae_decoder = "taesd";  // as a person writes it
  std::vector<at::Tensor> latents;
  Listener listener;
  listener.on_latents = [&](const at::Tensor& batch) { latents.push_back(batch.clone()); };
  const auto quick = tiny.generate(request, listener);
  ASSERT_THAT(quick.pictures, SizeIs(1));
  EXPECT_EQ(quick.pictures[0].picture, by_taesd(latents)[0]);
  EXPECT_NE(quick.pictures[0].picture, full.pictures[0].picture);

  const auto text = prompt::parse_infotext(quick.pictures[0].metadata);
  ASSERT_NE(text.find("VAE Decoder"), nullptr);
  EXPECT_EQ(*text.find("VAE Decoder"), "TAESD");
  EXPECT_EQ(text.find("VAE Encoder"), nullptr);
  request::GenerationRequest repeated;
  EXPECT_THAT(request::apply_metadata(repeated, text), IsEmpty());
  repeated.checkpoint.clear();
  EXPECT_EQ(tiny.generate(repeated).pictures[0].picture, quick.pictures[0].picture);
  // It holds for the one request.
  EXPECT_EQ(tiny.generate(testing::tiny_request()).pictures[0].picture, full.pictures[0].picture);
}

TEST_F(TinyAutoencoderSession, EncodesInitPicturesOnRequest) {
  put("taesd/diffusion_pytorch_model.safetensors", "taesd.safetensors");
  Session tiny = session();
  request::GenerationRequest request = testing::tiny_request();
  const image::Picture init = tiny.generate(request).pictures[0].picture;
  request.init_images = {init};
  request.denoising_strength = 0;  // one step from the smallest sigma remains
  request.vae_encoder = "TAESD";
  at::Tensor latent;
  Listener listener;
  listener.on_latents = [&](const at::Tensor& batch) { latent = batch.clone(); };
  const auto result = tiny.generate(request, listener);
  const auto file = formats::open_tiny_autoencoder(kTiny / "taesd_encoder.pth");
  const model::TinyEncoder encoder(tensor::as_state_dict(file.encoder, file.file));
  const at::NoGradGuard no_grad;
  const at::Tensor expected = encoder.encode(picture_tensor(init) * 2 - 1);
  const auto distance = [&] { return (latent - expected).abs().max().item<float>(); };
  const float of_tiny = distance();
  request.vae_encoder = "Full";
  tiny.generate(request, listener);
  EXPECT_LT(of_tiny, 0.15F);
  EXPECT_LT(of_tiny, distance());
  const auto text = prompt::parse_infotext(result.pictures[0].metadata);
  ASSERT_NE(text.find("VAE Encoder"), nullptr);
  EXPECT_EQ(*text.find("VAE Encoder"), "TAESD");
  EXPECT_EQ(text.find("VAE Decoder"), nullptr);
}

// A setting that encodes needs no file where nothing is encoded, and is not told.
TEST_F(TinyAutoencoderSession, AnEncoderThatIsNotNeededIsNotLookedFor) {
  Session tiny = session();
  request::GenerationRequest request = testing::tiny_request();
  request.vae_encoder = "TAESD";
  const auto result = tiny.generate(request);
  EXPECT_EQ(prompt::parse_infotext(result.pictures[0].metadata).find("VAE Encoder"), nullptr);
  request.enable_hr = true;
  request.hr_upscaler = "Lanczos";
  EXPECT_THAT(testing::error_of(tiny, request), HasSubstr("taesd_encoder.pth"));
}

TEST_F(TinyAutoencoderSession, AMissingFileIsNamedAndAnotherFamilysIsNotTaken) {
  put("taesd_decoder.pth", "taesdxl_decoder.pth");  // told by its name, since the shapes are the same
  put("taesd_encoder.pth", "taesd_encoder.pth");
  Session tiny = session();
  request::GenerationRequest request = testing::tiny_request();
  request.vae_decoder = "TAESD";
  EXPECT_THAT(testing::error_of(tiny, request),
              HasSubstr("has no TAESD decoder for SD 1.x; put taesd_decoder.pth there"));
  request.vae_decoder = "nearly";
  EXPECT_THAT(testing::error_of(tiny, request),
              HasSubstr("unknown VAE decoder 'nearly'; choose Full or TAESD"));
}

TEST_F(TinyAutoencoderSession, AFileThatIsReplacedIsReadAnew) {
  put("taesd_encoder.pth", "taesd_decoder.pth");  // a half that is not asked for
  Session tiny = session();
  request::GenerationRequest request = testing::tiny_request();
  request.vae_decoder = "TAESD";
  EXPECT_THAT(testing::error_of(tiny, request), HasSubstr("has no TAESD decoder"));
  fs::remove(folder / "taesd_decoder.pth");
  put("taesd_decoder.pth", "taesd_decoder.pth");
  EXPECT_EQ(testing::error_of(tiny, request), "");
}

class TinyPreviews : public TinyAutoencoderSession {
 protected:
  // The preview after each step, and the warnings.
  struct Watched {
    std::vector<image::Picture> previews;
    std::vector<std::string> warnings;
    image::Picture picture;
  };
  static Watched watch(Session& session, request::PreviewType type,
                       request::GenerationRequest request = testing::tiny_request()) {
    Watched watched;
    Listener listener;
    listener.preview = Preview::kEachStep;
    listener.preview_type = type;
    listener.on_step = [&](const StepEvent& event) { watched.previews.push_back(*event.preview); };
    auto result = session.generate(request, listener);
    watched.warnings = std::move(result.warnings);
    watched.picture = std::move(result.pictures.at(0).picture);
    return watched;
  }
};

// The last step's denoised latent is the picture's.
TEST_F(TinyPreviews, AreOfTheKindAskedFor) {
  put("taesd_decoder.pth", "taesd_decoder.pth");
  Session tiny = session();
  request::GenerationRequest request = testing::tiny_request();
  const auto full = watch(tiny, request::PreviewType::kFull);
  ASSERT_THAT(full.previews, SizeIs(3));
  EXPECT_EQ(full.previews.back(), full.picture);
  request.vae_decoder = "TAESD";
  for (const auto type : {request::PreviewType::kTaesd, request::PreviewType::kBest}) {
    const auto quick = watch(tiny, type, request);
    EXPECT_EQ(quick.previews.back(), quick.picture);
    EXPECT_NE(quick.previews.front(), quick.previews.back());
    EXPECT_THAT(quick.warnings, IsEmpty());
  }
  const auto cheap = watch(tiny, request::PreviewType::kApproxCheap);
  EXPECT_EQ(cheap.previews.back().width, 8);  // of 64 pixels
}

TEST_F(TinyPreviews, NeverFailThePicture) {
  Session tiny = session();
  // Nothing is missing where the best that there is was asked for.
  EXPECT_THAT(watch(tiny, request::PreviewType::kBest).warnings, IsEmpty());
  const auto missing = watch(tiny, request::PreviewType::kTaesd);
  EXPECT_EQ(missing.previews.back().width, 8);
  ASSERT_THAT(missing.warnings, SizeIs(1));
  EXPECT_THAT(missing.warnings[0], HasSubstr("put taesd_decoder.pth there"));
  EXPECT_THAT(watch(tiny, request::PreviewType::kTaesd).warnings, IsEmpty());  // it was told
  std::ofstream(folder / "taesd_decoder.pth") << "half of a download";
  const auto broken = watch(tiny, request::PreviewType::kBest);
  EXPECT_EQ(broken.previews.back().width, 8);
  ASSERT_THAT(broken.warnings, SizeIs(1));
  EXPECT_THAT(broken.warnings[0], HasSubstr("taesd_decoder.pth"));
  EXPECT_EQ(broken.picture, missing.picture);
}

}  // namespace
}  // namespace lowrank::pipeline
