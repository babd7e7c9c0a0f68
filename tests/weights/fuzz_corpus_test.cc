// The fuzz targets' committed inputs, replayed through the same functions.
#include <gtest/gtest.h>

#include <filesystem>

#include "weights/crafted.h"

#define LLVMFuzzerTestOneInput fuzz_safetensors
#include "fuzz/safetensors_fuzz.cc"
#undef LLVMFuzzerTestOneInput
#define LLVMFuzzerTestOneInput fuzz_pickle
#include "fuzz/pickle_fuzz.cc"
#undef LLVMFuzzerTestOneInput

namespace lowrank::weights {
namespace {

template <typename Target>
void replay(const std::filesystem::path& folder, Target target) {
  int count = 0;
  for (const auto& entry : std::filesystem::directory_iterator(folder)) {
    const std::string input = contents_of(entry.path());
    SCOPED_TRACE(entry.path().filename().string());
    EXPECT_EQ(target(reinterpret_cast<const std::uint8_t*>(input.data()), input.size()), 0);
    ++count;
  }
  EXPECT_GT(count, 0) << folder;
}

const std::string kCorpus = std::string(LOWRANK_SOURCE_DIR) + "/tests/fuzz/corpus/";

TEST(FuzzCorpus, SafetensorsInputsAreReadOrRefused) {
  replay(kCorpus + "safetensors", fuzz_safetensors);
  replay(fixture("safetensors"), fuzz_safetensors);
}

TEST(FuzzCorpus, PickleInputsAreReadOrRefused) {
  replay(kCorpus + "pickle", fuzz_pickle);
  replay(fixture("pickle"), fuzz_pickle);
}

}  // namespace
}  // namespace lowrank::weights
