// img2img, hires fix and the rest of the picture workflow through the session: what stays equal, what is
// told, what is refused. That the pictures are right is shown by golden/workflow_golden_test.cc.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "image/codec/codec.h"
#include "image/resample.h"
#include "pipeline/pictures/extras.h"
#include "pipeline/pictures/init_pictures.h"
#include "pipeline/tiny_session.h"
#include "request/metadata.h"

namespace lowrank {
namespace {

using request::Decimal;
using request::GenerationRequest;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;
using testing::tiny_request;
using testing::tiny_session;

image::Picture source() {
  return image::load_picture(std::string(LOWRANK_TEST_FIXTURES) + "/image/masking/source.png");
}
image::Mask mask() {
  return image::load_mask(std::string(LOWRANK_TEST_FIXTURES) + "/image/masking/mask.png");
}

request::GenerationRequest from_picture() {
  request::GenerationRequest request = tiny_request();
  request.init_images = {source()};
  return request;
}

std::string error_of(pipeline::Session& session, const request::GenerationRequest& request) {
  try {
    session.generate(request);
  } catch (const Error& error) {
    return error.what();
  }
  return "";
}

// A picture made again from its own text, and from the pictures that no text holds, is the same byte for
// byte.
TEST(Workflow, PicturesRepeatFromTheirOwnText) {
  pipeline::Session session = tiny_session();
  std::vector<request::GenerationRequest> requests(9, from_picture());
  requests[0].denoising_strength = request::Decimal(0.4);
  requests[0].resize_mode = 2;
  requests[0].initial_noise_multiplier = request::Decimal(0.9);
  requests[0].extra_noise = request::Decimal(0.1);
  requests[0].img2img_fix_steps = true;
  requests[1].resize_mode = 3;
  requests[1].upscaler_for_img2img = "Nearest";
  requests[2].mask = mask();
  requests[2].inpaint_full_res_padding = 7;
  requests[3].mask = mask();
  requests[3].inpaint_full_res = false;
  requests[3].inpainting_fill = 1;
  requests[3].mask_blur = 0;
  requests[3].inpainting_mask_invert = 1;
  requests[4].mask = mask();
  requests[4].inpainting_fill = 2;
  requests[4].mask_blur_x = 2;
  requests[4].mask_blur_y = 5;
  requests[4].mask_round = false;
  for (std::size_t i = 5; i < requests.size(); ++i) {
    requests[i] = tiny_request("a fox <lora:lora_attn:0.8>");
    requests[i].enable_hr = true;
    requests[i].hr_scale = request::Decimal(1.25);
  }
  requests[6].hr_upscaler = "Lanczos";
  requests[6].hr_resize_x = 80;
  requests[6].hr_second_pass_steps = 2;
  requests[6].denoising_strength = request::Decimal(0.35);
  requests[7].hr_prompt = "a cat <lora:loha_attn:0.5>, \"quoted: yes\"";
  requests[7].hr_negative_prompt = "dark";
  requests[7].hr_sampler = "Euler a";
  requests[7].hr_scheduler = "Exponential";
  requests[8].tiling = true;
  requests[8].hr_resize_x = 72;
  requests[8].hr_resize_y = 96;
  for (const request::GenerationRequest& request : requests) {
    const auto first = session.generate(request).pictures.at(0);
    request::GenerationRequest again;
    EXPECT_THAT(request::apply_metadata(again, prompt::parse_infotext(first.metadata)), IsEmpty())
        << first.metadata;
    again.init_images = request.init_images;
    again.mask = request.mask;
    const auto second = session.generate(again).pictures.at(0);
    EXPECT_EQ(first.metadata, second.metadata);
    EXPECT_EQ(first.picture, second.picture) << first.metadata;
  }
}

// The order and the words of A1111's create_infotext.
TEST(Workflow, TheTextNamesWhatWasDoneAsA1111Does) {
  pipeline::Session session = tiny_session();
  request::GenerationRequest request = from_picture();
  request.mask = mask();
  request.inpaint_full_res_padding = 32;
  const std::string inpainted = session.generate(request).pictures.at(0).metadata;
  EXPECT_THAT(inpainted, HasSubstr("Denoising strength: 0.75"));
  EXPECT_THAT(
      inpainted,
      HasSubstr("Mask blur: 4, Inpaint area: Only masked, Masked area padding: 32, Masked content: fill"));
  EXPECT_THAT(inpainted, HasSubstr("Init image hash: " + pipeline::init_picture_hash(source())));
  EXPECT_TRUE(request::is_img2img(prompt::parse_infotext(inpainted)));
  request::GenerationRequest hires = tiny_request();
  hires.enable_hr = true;
  hires.hr_scale = request::Decimal(1.5);
  hires.hr_second_pass_steps = 2;
  hires.hr_sampler = "Euler";
  const std::string enlarged = session.generate(hires).pictures.at(0).metadata;
  EXPECT_THAT(enlarged, HasSubstr("Size: 64x64"));
  EXPECT_THAT(
      enlarged,
      HasSubstr("Hires sampler: Euler, Hires schedule type: Automatic, Hires upscale: 1.5, Hires steps: 2, "
                "Hires upscaler: Latent"));
  EXPECT_FALSE(request::is_img2img(prompt::parse_infotext(enlarged)));
  EXPECT_THAT(session.generate(from_picture()).pictures.at(0).metadata, Not(HasSubstr("Mask")));
}

TEST(Workflow, OutsideTheMaskTheOriginalStays) {
  pipeline::Session session = tiny_session();
  request::GenerationRequest request = from_picture();
  request.mask = mask();
  request.mask_blur = 0;
  const image::Picture original = source();
  const image::Picture made = session.generate(request).pictures.at(0).picture;
  ASSERT_EQ(made.width, original.width);
  int changed = 0;
  for (int y = 0; y < made.height; ++y) {
    for (int x = 0; x < made.width; ++x) {
      const bool same = std::equal(made.pixel(x, y), made.pixel(x, y) + 3, original.pixel(x, y));
      if (request.mask->at(x, y) == 0) {
        EXPECT_TRUE(same) << x << "," << y;
      }
      changed += same ? 0 : 1;
    }
  }
  EXPECT_GT(changed, 100);
}

TEST(Workflow, ABlankMaskIsPlainImg2imgAndSaid) {
  pipeline::Session session = tiny_session();
  request::GenerationRequest request = from_picture();
  const auto plain = session.generate(request);
  request.mask = image::Mask{.width = 57, .height = 45, .grey = std::vector<std::uint8_t>(57 * 45, 0)};
  const auto blank = session.generate(request);
  EXPECT_EQ(blank.pictures.at(0).picture, plain.pictures.at(0).picture);
  ASSERT_FALSE(blank.warnings.empty());
  EXPECT_THAT(blank.warnings.front(), HasSubstr("blank"));
}

TEST(Workflow, WithoutASizeThePictureKeepsItsOwn) {
  pipeline::Session session = tiny_session();
  request::GenerationRequest request = from_picture();
  request.width = request.height = 0;
  const auto picture = session.generate(request).pictures.at(0).picture;
  EXPECT_EQ(picture.width, 56);
  EXPECT_EQ(picture.height, 40);
}

TEST(Workflow, OneInitPictureForEachOfABatch) {
  pipeline::Session session = tiny_session();
  request::GenerationRequest request = from_picture();
  request.init_images.push_back(image::resize(source(), 40, 60));
  EXPECT_THAT(error_of(session, request), HasSubstr("2 init pictures were given for a batch of 1"));
  request.batch_size = 2;
  const auto both = session.generate(request);
  ASSERT_EQ(both.pictures.size(), 2u);
  EXPECT_NE(both.pictures[0].picture, both.pictures[1].picture);
}

TEST(Workflow, TheHiresPassIsReportedAndItsLorasAreOff) {
  pipeline::Session session = tiny_session();
  const auto before = session.generate(tiny_request()).pictures.at(0).picture;
  request::GenerationRequest request = tiny_request();
  request.enable_hr = true;
  request.hr_scale = request::Decimal(1.25);
  request.hr_prompt = "a fox <lora:loha_attn:1>";
  int second = 0;
  pipeline::Listener listener;
  listener.on_step = [&](const pipeline::StepEvent& event) {
    EXPECT_EQ(event.passes, 2);
    second += event.pass;
  };
  const auto result = session.generate(request, listener);
  EXPECT_EQ(second, 3);
  ASSERT_EQ(result.loras.size(), 1u);
  EXPECT_THAT(result.loras[0].name, HasSubstr("loha_attn"));
  EXPECT_EQ(result.pictures.at(0).picture.width, 80);
  EXPECT_EQ(session.generate(tiny_request()).pictures.at(0).picture, before);
}

TEST(Workflow, AFirstPassPictureTakesThePlaceOfTheFirstPass) {
  pipeline::Session session = tiny_session();
  request::GenerationRequest request = tiny_request();
  request.enable_hr = true;
  request.hr_scale = request::Decimal(1.25);
  request.hr_upscaler = "Lanczos";
  const auto whole = session.generate(request);
  request::GenerationRequest first = tiny_request();
  request.firstpass_image = session.generate(first).pictures.at(0).picture;
  const auto second = session.generate(request);
  EXPECT_EQ(second.pictures.at(0).picture, whole.pictures.at(0).picture);
  EXPECT_LT(second.unet_passes, whole.unet_passes);
}

TEST(Workflow, TilingLeavesNoTrace) {
  pipeline::Session session = tiny_session();
  request::GenerationRequest request = tiny_request("a fox <lora:locon_all:0.7>");
  const auto plain = session.generate(request).pictures.at(0).picture;
  request.tiling = true;
  EXPECT_NE(session.generate(request).pictures.at(0).picture, plain);
  request.tiling = false;
  EXPECT_EQ(session.generate(request).pictures.at(0).picture, plain);
}

TEST(Workflow, TagsCanBeLeftWithoutEffect) {
  pipeline::Session session = tiny_session();
  request::GenerationRequest request = tiny_request("a fox <lora:lora_attn:1>");
  request.disable_extra_networks = true;
  const auto off = session.generate(request);
  EXPECT_EQ(off.pictures.at(0).picture, session.generate(tiny_request("a fox")).pictures.at(0).picture);
  EXPECT_TRUE(off.loras.empty());
}

TEST(Workflow, BadRequestsAreOneSentence) {
  pipeline::Session session = tiny_session();
  const auto with = [](request::GenerationRequest request, auto change) {
    change(request);
    return request;
  };
  EXPECT_THAT(error_of(session, with(tiny_request(),
                                     [](auto& r) { r.enable_hr = true, r.hr_upscaler = "None such"; })),
              HasSubstr("unknown upscaler 'None such'"));
  EXPECT_THAT(
      error_of(session, with(tiny_request(), [](auto& r) { r.enable_hr = true, r.hr_sampler = "Foo"; })),
      HasSubstr("unknown sampler 'Foo'"));
  EXPECT_THAT(
      error_of(session, with(tiny_request(), [](auto& r) { r.enable_hr = true, r.hr_checkpoint = "none"; })),
      HasSubstr("no checkpoint named 'none'"));
  EXPECT_THAT(error_of(session, with(tiny_request(),
                                     [](auto& r) {
                                       r.refiner_checkpoint = "missing",
                                       r.refiner_switch_at = request::Decimal(0.5);
                                     })),
              HasSubstr("no checkpoint named 'missing'"));
  EXPECT_THAT(
      error_of(session, with(from_picture(), [](auto& r) { r.denoising_strength = request::Decimal(1.5); })),
      HasSubstr("--denoising is 1.5"));
  EXPECT_THAT(error_of(session, with(from_picture(), [](auto& r) { r.upscaler_for_img2img = "Foo"; })),
              HasSubstr("unknown upscaler 'Foo'"));
  EXPECT_THAT(error_of(session,
                       with(from_picture(),
                            [](auto& r) { r.mask = mask(), r.inpaint_full_res = false, r.resize_mode = 3; })),
              HasSubstr("latent upscale"));
  request::GenerationRequest off = tiny_request();  // switched off: the name is not even looked up
  off.refiner_checkpoint = "none such";
  EXPECT_EQ(error_of(session, off), "");
}

TEST(Extras, ScalesCropsAndMixes) {
  pipeline::Upscalers upscalers({});
  request::ExtrasRequest request;
  EXPECT_EQ(pipeline::run_extras(request, source(), upscalers, {}).picture, source());  // "None"
  request.upscaler_1 = "Nearest";
  const auto doubled = pipeline::run_extras(request, source(), upscalers, {});
  EXPECT_EQ(doubled.picture.width, 112);  // 114, rounded down to a multiple of 8
  EXPECT_EQ(doubled.picture.height, 88);
  EXPECT_EQ(doubled.info, "Postprocess upscale by: 2, Postprocess upscaler: Nearest");
  request.resize_mode = 1;
  request.upscaling_width = 96;
  request.upscaling_height = 64;
  const auto cropped = pipeline::run_extras(request, source(), upscalers, {});
  EXPECT_EQ(cropped.picture.width, 96);
  EXPECT_EQ(cropped.picture.height, 64);
  EXPECT_EQ(cropped.info,
            "Postprocess upscale to: 96x64, Postprocess crop to: 96x64, Postprocess upscaler: Nearest");
  request.upscaler_2 = "Lanczos";
  request.upscaler_2_visibility = request::Decimal(1.0);
  const auto second = pipeline::run_extras(request, source(), upscalers, {}).picture;
  request.upscaler_1 = "Lanczos";
  request.upscaler_2 = "None";
  EXPECT_EQ(second, pipeline::run_extras(request, source(), upscalers, {}).picture);
  request.upscaler_1 = "Foo";
  EXPECT_THROW(pipeline::run_extras(request, source(), upscalers, {}), Error);
}

}  // namespace
}  // namespace lowrank
