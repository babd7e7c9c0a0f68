#include "formats/kind_table.h"

#include <array>

namespace lowrank::formats {

std::span<const SuffixRow> suffix_table() {
  static constexpr std::array kRows = {
      // kohya LoRA and LoCon
      SuffixRow{".lora_down.weight", "lora_down.weight"},
      SuffixRow{".lora_up.weight", "lora_up.weight"},
      SuffixRow{".lora_mid.weight", "lora_mid.weight"},
      SuffixRow{".lora_down.bias", "lora_down.bias"},
      SuffixRow{".lora_up.bias", "lora_up.bias"},
      // PEFT
      SuffixRow{".lora_A.weight", "lora_down.weight"},
      SuffixRow{".lora_B.weight", "lora_up.weight"},
      SuffixRow{".lora_B.bias", "lora_up.bias"},
      SuffixRow{".lora_magnitude_vector", "dora_scale"},
      SuffixRow{".lora_magnitude_vector.weight", "dora_scale"},
      // diffusers
      SuffixRow{".lora.down.weight", "lora_down.weight"},
      SuffixRow{".lora.up.weight", "lora_up.weight"},
      SuffixRow{".lora_linear_layer.down.weight", "lora_down.weight"},
      SuffixRow{".lora_linear_layer.up.weight", "lora_up.weight"},
      SuffixRow{"_lora.down.weight", "lora_down.weight"},
      SuffixRow{"_lora.up.weight", "lora_up.weight"},
      SuffixRow{".lora.down", "lora_down.weight"},
      SuffixRow{".lora.up", "lora_up.weight"},
      // LyCORIS
      SuffixRow{".hada_w1_a", "hada_w1_a"},
      SuffixRow{".hada_w1_b", "hada_w1_b"},
      SuffixRow{".hada_w2_a", "hada_w2_a"},
      SuffixRow{".hada_w2_b", "hada_w2_b"},
      SuffixRow{".hada_t1", "hada_t1"},
      SuffixRow{".hada_t2", "hada_t2"},
      SuffixRow{".lokr_w1", "lokr_w1"},
      SuffixRow{".lokr_w1_a", "lokr_w1_a"},
      SuffixRow{".lokr_w1_b", "lokr_w1_b"},
      SuffixRow{".lokr_w2", "lokr_w2"},
      SuffixRow{".lokr_w2_a", "lokr_w2_a"},
      SuffixRow{".lokr_w2_b", "lokr_w2_b"},
      SuffixRow{".lokr_t1", "lokr_t1"},
      SuffixRow{".lokr_t2", "lokr_t2"},
      SuffixRow{".weight", "weight"},
      SuffixRow{".on_input", "on_input"},
      SuffixRow{".diff", "diff"},
      SuffixRow{".diff_b", "diff_b"},
      SuffixRow{".w_norm", "w_norm"},
      SuffixRow{".b_norm", "b_norm"},
      SuffixRow{".a1.weight", "a1.weight"},
      SuffixRow{".a2.weight", "a2.weight"},
      SuffixRow{".b1.weight", "b1.weight"},
      SuffixRow{".b2.weight", "b2.weight"},
      SuffixRow{".bm.weight", "bm.weight"},
      SuffixRow{".oft_blocks", "oft_blocks"},
      SuffixRow{".oft_diag", "oft_diag"},
      SuffixRow{".rescale", "rescale"},
      // beside any kind
      SuffixRow{".alpha", "alpha"},
      SuffixRow{".scale", "scale"},
      SuffixRow{".scalar", "scalar"},
      SuffixRow{".dora_scale", "dora_scale"},
      SuffixRow{".bias", "bias"},
      SuffixRow{".bias_indices", "bias_indices"},
      SuffixRow{".bias_values", "bias_values"},
      SuffixRow{".bias_size", "bias_size"},
  };
  return kRows;
}

const std::vector<KindRow>& kind_table() {
  static const std::vector<KindRow> kRows = {
      {AdapterKind::kLora,
       "LoRA",
       {{"lora_down.weight"}, {"lora_up.weight"}},
       {"lora_up.bias", "bias", "dora_scale"}},
      {AdapterKind::kLocon,
       "LoCon",
       {{"lora_down.weight"}, {"lora_up.weight"}},
       {"lora_mid.weight", "lora_up.bias", "bias", "dora_scale"}},
      {AdapterKind::kLoha,
       "LoHa",
       {{"hada_w1_a"}, {"hada_w1_b"}, {"hada_w2_a"}, {"hada_w2_b"}},
       {"hada_t1", "hada_t2", "bias", "dora_scale"}},
      {AdapterKind::kIa3, "IA3", {{"weight"}, {"on_input"}}, {}},
      {AdapterKind::kLokr,
       "LoKr",
       {{"lokr_w1", "lokr_w1_a"},
        {"lokr_w1", "lokr_w1_b"},
        {"lokr_w2", "lokr_w2_a"},
        {"lokr_w2", "lokr_w2_b"}},
       {"lokr_t2", "bias", "dora_scale"}},
      {AdapterKind::kFull, "full", {{"diff"}}, {"diff_b"}},
      {AdapterKind::kNorm, "norm", {{"w_norm"}}, {"b_norm"}},
      {AdapterKind::kGlora,
       "GLoRA",
       {{"a1.weight"}, {"a2.weight"}, {"b1.weight"}, {"b2.weight"}},
       {"bm.weight", "dora_scale"}},
      {AdapterKind::kOft, "OFT", {{"oft_blocks", "oft_diag"}}, {"rescale"}},
      {AdapterKind::kBoft, "BOFT", {{"oft_blocks"}}, {"rescale"}},
  };
  return kRows;
}

}  // namespace lowrank::formats
