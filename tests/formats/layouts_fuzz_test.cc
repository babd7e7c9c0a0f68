// The fuzz target's committed inputs: each is one of the layouts that people download.
#include <gtest/gtest.h>

#include <filesystem>
#include <set>

#define LLVMFuzzerTestOneInput fuzz_layouts
#include "fuzz/layouts_fuzz.cc"
#undef LLVMFuzzerTestOneInput

#include "formats/crafted_models.h"

namespace lowrank::formats {
namespace {

TEST(LayoutsFuzz, CorpusIsReadAndRecognised) {
  std::map<std::string, std::string> kinds;
  for (const auto& entry :
       std::filesystem::directory_iterator(std::string(LOWRANK_SOURCE_DIR) + "/tests/fuzz/corpus/layouts")) {
    const std::string input = weights::contents_of(entry.path()), name = entry.path().filename().string();
    SCOPED_TRACE(name);
    EXPECT_EQ(fuzz_layouts(reinterpret_cast<const std::uint8_t*>(input.data()), input.size()), 0);
    if (name == "index") {
      EXPECT_EQ(read_shard_index(input, entry.path()).size(), 2u);
      continue;
    }
    kinds[name] =
        describe_file(*weights::read_safetensors(entry.path(), std::as_bytes(std::span(input)), nullptr));
    if (name.find("-lora-") != std::string::npos) {
      EXPECT_EQ(kinds[name], "a LoRA");
    }
  }
  for (const auto& [label, name] :
       {std::pair("sd15", "an SD 1.x"), std::pair("sd2", "an SD 2.x"), std::pair("sdxl", "an SDXL"),
        std::pair("sdxl-refiner", "an SDXL refiner")}) {
    EXPECT_EQ(kinds[std::string(label) + "-checkpoint"], fmt::format("{} checkpoint", name));
    EXPECT_EQ(kinds[std::string(label) + "-inpainting"], fmt::format("{} checkpoint", name));
    EXPECT_EQ(kinds[std::string(label) + "-unet"], fmt::format("the U-Net of {} checkpoint, alone", name));
  }
  EXPECT_EQ(kinds["sdxl-vae"], "a VAE");
}

}  // namespace
}  // namespace lowrank::formats
