// Token merging against the reference implementation (tools/fixtures/make_token_merging.py).
#include "model/token_merging.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <string>

#include "support/expect_close.h"
#include "tensor/state_dict.h"
#include "weights/tensor_file.h"

namespace lowrank::model {
namespace {

using lowrank::testing::expect_close;

struct Case {
  const char* name;
  std::int64_t height, width;
  double ratio;
};

class TokenMergingTest : public ::testing::TestWithParam<Case> {};

TEST_P(TokenMergingTest, EqualsTheReference) {
  const auto file = weights::TensorFile::open(LOWRANK_TEST_FIXTURES "/shortcuts/token-merging.safetensors");
  const Case& c = GetParam();
  const auto tensor = [&](const char* what) {
    return tensor::as_tensor(*file->find(std::string(c.name) + "." + what), file);
  };
  const at::Tensor x = tensor("x"), merged = tensor("merged");
  const TokenMerging merging(x, c.height, c.width, c.ratio);
  const at::Tensor ours = merging.merge(x);
  ASSERT_EQ(ours.sizes(), merged.sizes());
  for (std::int64_t i = 0; i < ours.size(0); ++i) {
    const at::Tensor order = ours[i].select(1, 0).argsort();
    EXPECT_TRUE(expect_close(ours[i].index_select(0, order), merged[i], {.rel = 1e-6}));
  }
  EXPECT_TRUE(expect_close(merging.unmerge(ours), tensor("unmerged"), {.rel = 1e-6}));
}

INSTANTIATE_TEST_SUITE_P(All, TokenMergingTest,
                         ::testing::Values(Case{"square", 8, 8, 0.5}, Case{"little", 8, 8, 0.1},
                                           Case{"odd", 7, 9, 0.4}, Case{"most", 6, 4, 0.9}),
                         [](const auto& each) { return std::string(each.param.name); });

TEST(TokenMerging, NothingToMergeChangesNothing) {
  const at::Tensor x = at::randn({1, 12, 5});
  for (const TokenMerging& idle : {TokenMerging(x, 3, 4, 0), TokenMerging(x, 1, 12, 0.5)}) {
    EXPECT_TRUE(idle.is_idle());
    EXPECT_TRUE(idle.unmerge(idle.merge(x)).equal(x));
  }
}

}  // namespace
}  // namespace lowrank::model
