#include "formats/lora_file.h"

#include <gtest/gtest.h>

namespace lowrank::formats {
namespace {

TEST(LoraFileTest, x) {
  const auto checkpoint = open_checkpoint(std::string(LOWRANK_TEST_FIXTURES) + "/sd15-tiny/sd15-tiny.safetensors");
  std::vector<std::string> unet, text;
  for (auto& [n, v] : checkpoint.unet) unet.push_back(n.substr(0, n.rfind('.')));
  for (auto& [n, v] : checkpoint.text_encoder) text.push_back(n.substr(0, n.rfind('.')));
  auto un = layer_names(Component::kUnet, unet), tn = layer_names(Component::kTextEncoder, text);
  for (const char* n : {"lora_attn", "locon_all", "loha_attn", "lokr_all", "full_attn", "lora_te"}) {
    auto l = open_lora(std::string(LOWRANK_TEST_FIXTURES) + "/sd15-tiny/sd15-tiny-" + n + ".safetensors");
    std::size_t found = 0;
    for (auto& e : l.entries) found += (e.component == Component::kUnet ? un : tn).count(e.name);
    printf("%s: %zu entries %zu found %zu skipped %zu unknown; %d %s\n", n, l.entries.size(), found, l.skipped.size(), l.unknown.size(), (int)l.base_model, l.base_model_reason.c_str());
  }
}

}  // namespace
}  // namespace lowrank::formats
