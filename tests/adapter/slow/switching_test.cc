// A thousand changes of the LoRA set of one resident model: no growth in memory.
#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <fstream>

#include "adapter/stack.h"
#include "adapter/tiny_model.h"

namespace lowrank::adapter {
namespace {

using testing::RandomKind;

std::int64_t resident_bytes() {
  std::ifstream statm("/proc/self/statm");
  std::int64_t total = 0, resident = 0;
  statm >> total >> resident;
  return resident * ::sysconf(_SC_PAGESIZE);
}

TEST(StackSlow, MemoryDoesNotGrowOverAThousandSwitches) {
  const at::NoGradGuard no_grad;
  testing::TinyModel model;
  const auto lora = testing::random_lora(model, RandomKind::kLora, 1),
             loha = testing::random_lora(model, RandomKind::kLoha, 2);
  const testing::TemporaryFile first("first.safetensors"), second("second.safetensors");
  tensor::save_state_dict(first.path().string(), lora);
  tensor::save_state_dict(second.path().string(), loha);
  AdapterStack derived, beside({.derived_budget_bytes = 0});
  const auto change = [&](int i) {
    AdapterStack& stack = i % 3 == 0 ? beside : derived;
    // Files are opened anew each time, as a server does whose cache is full.
    std::vector<ActiveAdapter> active = {
        {.adapter = Adapter::match(formats::open_lora(i % 2 == 0 ? first.path() : second.path()),
                                   testing::parts_of(model.unet, model.text_encoder)),
         .unet = 0.001 * i}};
    if (i % 5 == 0) active.clear();
    stack.apply(active, testing::parts_of(model.unet, model.text_encoder));
    if (i % 50 == 0) stack.reports();
  };
  for (int i = 0; i < 200; ++i) change(i);
  const std::int64_t before = resident_bytes();
  for (int i = 0; i < 1000; ++i) change(i);
  EXPECT_LT(resident_bytes() - before, 4 << 20) << "the model's own changed weights take some 2 MB";
}

}  // namespace
}  // namespace lowrank::adapter
