// Replays a fuzz target's committed inputs as an ordinary test.
#pragma once

#include <gtest/gtest.h>

#include <cstdint>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>

namespace lowrank::prompt {

template <typename Target>
void replay_corpus(const std::string& name, Target target) {
  int count = 0;
  for (const auto& file :
       std::filesystem::directory_iterator(std::string(LOWRANK_SOURCE_DIR) + "/tests/fuzz/corpus/" + name)) {
    std::ifstream stream(file.path(), std::ios::binary);
    const std::string bytes((std::istreambuf_iterator<char>(stream)), std::istreambuf_iterator<char>());
    SCOPED_TRACE(file.path().filename().string());
    EXPECT_EQ(target(reinterpret_cast<const std::uint8_t*>(bytes.data()), bytes.size()), 0);
    ++count;
  }
  EXPECT_GT(count, 0);
}

}  // namespace lowrank::prompt
