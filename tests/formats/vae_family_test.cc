// Hashes and names are those of the publishers' files.
#include "formats/vae_family.h"

#include <gtest/gtest.h>

namespace lowrank::formats {
namespace {

double scale_of(const std::string& file, const std::map<std::string, std::string>& metadata = {},
                const std::string& hash = "") {
  const auto known = recognise_vae("/models/VAE/" + file, metadata, [&] { return hash; });
  return known ? known->latent_scale : 0;
}

constexpr double kSdxl = 0.13025, kSd = 0.18215;

TEST(VaeFamily, IsToldByTheNamesThatPeopleDownload) {
  for (const char* name :
       {"sdxl_vae.safetensors", "sdxl-vae-fp16-fix.safetensors", "SDXL.vae.safetensors",
        "sd_xl_base_1.0_0.9vae.safetensors", "xlVAEC_c1.safetensors", "ponyDiffusionV6XL_vae.safetensors"})
    EXPECT_EQ(scale_of(name), kSdxl) << name;
  for (const char* name : {"vae-ft-mse-840000-ema-pruned.safetensors", "vae-ft-ema-560000-ema-pruned.ckpt",
                           "kl-f8-anime2.ckpt", "orangemix.vae.pt", "sd-v1-5.vae.safetensors"})
    EXPECT_EQ(scale_of(name), kSd) << name;
  EXPECT_EQ(scale_of("my favourite.safetensors"), 0);
}

TEST(VaeFamily, MetadataComesBeforeTheNameAndTheNameBeforeTheHash) {
  EXPECT_EQ(scale_of("sdxl_vae.safetensors", {{"modelspec.architecture", "stable-diffusion-v1/vae"}}), kSd);
  EXPECT_EQ(scale_of("a.safetensors", {{"modelspec.architecture", "stable-diffusion-xl-v1-base/vae"}}),
            kSdxl);
  EXPECT_EQ(scale_of("a.safetensors", {{"lowrank.latent_scale", "0.13025"}}), kSdxl);
  EXPECT_EQ(scale_of("a.safetensors", {}, "63aeecb90f"), kSdxl);
  EXPECT_EQ(scale_of("a.safetensors", {}, "235745af8d"), kSdxl);
  EXPECT_EQ(scale_of("a.safetensors", {}, "735e4c3a44"), kSd);
  EXPECT_EQ(scale_of("a.safetensors", {}, "0000000000"), 0);
  recognise_vae("sdxl_vae.safetensors", {}, []() -> std::string {
    ADD_FAILURE() << "a hash of a file of gigabytes is asked for although the name tells";
    return "";
  });
}

TEST(VaeFamily, FamiliesAreNamedByTheirLatents) {
  EXPECT_EQ(families_of_scale(kSd), "SD 1.x or SD 2.x");
  EXPECT_EQ(families_of_scale(kSdxl), "SDXL or SDXL refiner");
  EXPECT_EQ(families_of_scale(0.5), "");
}

}  // namespace
}  // namespace lowrank::formats
