// Large tensors reuse each other's memory, and no two living ones share it.
#include "tensor/large_blocks.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <thread>
#include <vector>

namespace lowrank::tensor {
namespace {

constexpr std::int64_t kMegabyte = 1 << 18;  // in floats

class LargeBlocks : public ::testing::Test {
 protected:
  void SetUp() override { keep_large_blocks(); }
  void TearDown() override {
    release_large_blocks();
    EXPECT_EQ(idle_large_bytes(), 0);
  }
};

TEST_F(LargeBlocks, AreUsedAgain) {
  void* first = nullptr;
  {
    const at::Tensor map = at::zeros({8 * kMegabyte});
    first = map.data_ptr();
  }
  EXPECT_GE(idle_large_bytes(), 8 << 20);
  const at::Tensor smaller = at::zeros({7 * kMegabyte});
  EXPECT_EQ(smaller.data_ptr(), first);
  EXPECT_EQ(idle_large_bytes(), 0);
  EXPECT_NE(at::zeros({8 * kMegabyte}).data_ptr(), first);
}

TEST_F(LargeBlocks, SmallTensorsLiveElsewhere) {
  { const at::Tensor small = at::zeros({1000}); }
  EXPECT_EQ(idle_large_bytes(), 0);
}

TEST_F(LargeBlocks, NoMoreThanABoundWaits) {
  std::vector<at::Tensor> maps;
  for (int i = 0; i < 8; ++i) maps.push_back(at::empty({40 * kMegabyte}));
  maps.push_back(at::empty({400 * kMegabyte}));
  maps.clear();
  EXPECT_LE(idle_large_bytes(), 96 << 20);
  EXPECT_GT(idle_large_bytes(), 0);
}

TEST_F(LargeBlocks, ThreadsNeverShareOne) {
  std::vector<std::thread> threads;
  std::vector<int> wrong(4, 0);
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([t, &wrong] {
      for (int i = 0; i < 50; ++i) {
        const at::Tensor map = at::full({(1 + i % 3) * kMegabyte}, t);
        std::this_thread::yield();
        wrong[static_cast<std::size_t>(t)] += !map.eq(t).all().item<bool>();
      }
    });
  }
  for (auto& thread : threads) thread.join();
  EXPECT_EQ(wrong, std::vector<int>(4, 0));
}

}  // namespace
}  // namespace lowrank::tensor
