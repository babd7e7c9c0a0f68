// Tensors in the arena reuse each other's memory, and no two living ones share it.
#include "tensor/arena.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <random>
#include <thread>
#include <vector>

namespace lowrank::tensor {
namespace {

constexpr std::int64_t kMegabyte = 1 << 18;  // in floats

class Arena : public ::testing::Test {
 protected:
  void SetUp() override {
    use_arena();
    highest_arena_bytes(true);
  }
  void TearDown() override {
    release_arena();
    EXPECT_EQ(arena_bytes(), 0);
  }
};

TEST_F(Arena, ATensorTakesTheLowestGapThatFits) {
  at::Tensor a = at::zeros({8 * kMegabyte}), b = at::zeros({2 * kMegabyte}), c = at::zeros({kMegabyte});
  EXPECT_EQ(arena_bytes(), 11 << 20);
  void *const first = a.data_ptr(), *const second = b.data_ptr();
  a.reset();
  EXPECT_EQ(at::zeros({kMegabyte}).data_ptr(), first);
  b.reset();  // the two gaps are one
  EXPECT_EQ(at::zeros({10 * kMegabyte}).data_ptr(), first);
  const at::Tensor d = at::zeros({8 * kMegabyte});
  EXPECT_EQ(at::zeros({2 * kMegabyte}).data_ptr(), second);
  EXPECT_EQ(highest_arena_bytes(), 11 << 20);
}

TEST_F(Arena, RoomIsLeftBelowWhereAskedFor) {
  const auto place = [](const at::Tensor& t, const at::Tensor& from) {
    return static_cast<char*>(t.data_ptr()) - static_cast<char*>(from.data_ptr());
  };
  const at::Tensor first = at::zeros({kMegabyte});
  at::Tensor gap = at::zeros({2 * kMegabyte}), leaving = at::zeros({2 * kMegabyte});
  gap.reset();
  at::Tensor small;
  {
    const RoomBelow room(10 << 20, leaving.data_ptr());
    small = at::zeros({kMegabyte});
  }
  EXPECT_EQ(place(small, first), 11 << 20);
  leaving.reset();
  EXPECT_EQ(place(at::zeros({10 * kMegabyte}), first), 1 << 20);
  EXPECT_EQ(place(at::zeros({11 * kMegabyte}), first), 12 << 20);
  // What is not said to leave stays in the way.
  at::Tensor staying = at::zeros({2 * kMegabyte});
  {
    const RoomBelow room(8 << 20);
    EXPECT_EQ(place(at::zeros({kMegabyte}), first), 12 << 20);
  }
  {
    const RoomBelow room(9 << 20);
    EXPECT_EQ(place(at::zeros({kMegabyte}), first), 21 << 20);
  }
}

TEST_F(Arena, SmallTensorsLiveElsewhere) {
  const at::Tensor small = at::zeros({1000});
  EXPECT_EQ(arena_bytes(), 0);
}

TEST_F(Arena, TheSameWorkAgainNeedsNoMoreMemory) {
  const auto work = [] {
    std::mt19937 random(7);
    std::vector<at::Tensor> maps(12);
    for (int i = 0; i < 300; ++i)
      maps[random() % 12] = at::empty({static_cast<std::int64_t>(random() % (3 << 20) + 1)});
  };
  work();
  const std::int64_t growths = arena_growths(), highest = highest_arena_bytes();
  EXPECT_GT(growths, 0);
  for (int i = 0; i < 3; ++i) work();
  EXPECT_EQ(arena_growths(), growths);
  EXPECT_EQ(highest_arena_bytes(), highest);
}

TEST_F(Arena, ATensorOutlivesItsUse) {
  const at::Tensor kept = at::full({kMegabyte}, 3.0F);
  release_arena();
  const at::Tensor elsewhere = at::zeros({4 * kMegabyte});
  EXPECT_EQ(arena_bytes(), 1 << 20);
  use_arena();
  const at::Tensor more = at::zeros({kMegabyte});
  EXPECT_TRUE(kept.eq(3).all().item<bool>());
}

TEST_F(Arena, ThreadsNeverShareAPlace) {
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
