// How long a job will still take.
#include "server/engine/progress_board.h"

#include <gtest/gtest.h>

#include "server/imports/import_board.h"

namespace lowrank::server {
namespace {

TEST(ProgressBoard, TimeLeftOfATrainingThatGoesOnCountsFromWhereItWentOn) {
  ProgressBoard board;
  board.begin("id", "", "train", 1);
  board.learn("latents", 0);
  board.step({.step = 10, .steps = 10});
  board.learn("lora", 0.1);
  board.step({.step = 901, .steps = 1000});
  EXPECT_EQ(board.snapshot().eta(), 0);  // after one step nothing is known
  board.learn("lora", 0.1);
  board.step({.step = 911, .steps = 1000});
  ProgressSnapshot now = board.snapshot();
  now.seconds = now.begun_seconds + 20;  // 10 steps took 20 seconds: 89 are left
  EXPECT_NEAR(now.eta(), 178, 3);
  // Sample pictures on the way do not begin it anew.
  board.learn("samples", 0.1);
  board.learn("lora", 0.1);
  board.step({.step = 921, .steps = 1000});
  EXPECT_EQ(board.snapshot().begun_progress, now.begun_progress);
}

TEST(ProgressBoard, TimeLeftOfAPictureCountsFromItsBeginning) {
  ProgressBoard board;
  board.begin("id", "", "txt2img", 1);
  board.step({.step = 5, .steps = 20});
  ProgressSnapshot now = board.snapshot();
  now.seconds = 26;
  EXPECT_NEAR(now.eta(), 74, 0.5);  // 26 % took 26 seconds
}

TEST(ImportProgress, TimeLeftOfAnImportThatGoesOnCountsOnlyWhatCameNow) {
  // 900 of 1000 bytes lay there; 50 more took 10 seconds, so 50 are left and take 10.
  const ImportProgress now{.file = "f", .bytes = 950, .total_bytes = 1000, .kept_bytes = 900, .seconds = 10};
  EXPECT_DOUBLE_EQ(now.eta(), 10);
  EXPECT_DOUBLE_EQ((ImportProgress{.file = "f", .bytes = 250, .total_bytes = 1000, .seconds = 10}.eta()), 30);
  EXPECT_DOUBLE_EQ(
      (ImportProgress{.file = "f", .bytes = 900, .total_bytes = 1000, .kept_bytes = 900, .seconds = 1}.eta()),
      0);
}

}  // namespace
}  // namespace lowrank::server
