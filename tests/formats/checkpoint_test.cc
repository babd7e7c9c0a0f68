#include "formats/checkpoint.h"

#include <gtest/gtest.h>

namespace lowrank::formats {
namespace {

TEST(Checkpoint, TinyModelHasAllItsParameters) {
  const auto checkpoint = open_checkpoint(std::string(LOWRANK_TEST_FIXTURES) + "/sd15-tiny/sd15-tiny.safetensors");
  EXPECT_EQ(checkpoint.text_encoder.size() + checkpoint.unet.size() + checkpoint.vae.size() + checkpoint.unused.size(), 989u);
  for (auto& u : checkpoint.unused) printf("unused %s\n", u.c_str());
}

}  // namespace
}  // namespace lowrank::formats
