#include "formats/lora/foreign_architecture.h"

#include <algorithm>
#include <string>

#include "formats/lora/naming_table.h"

namespace lowrank::formats {
namespace {

constexpr std::string_view kAnyTransformer = "FLUX, SD3 or another transformer model";

struct Mark {
  std::string_view start;        // of the key with every dot an underscore, behind `lora_unet_` and its like
  std::string_view first = "";   // parts of it, in this order
  std::string_view second = "";  // "" none
  std::string_view architecture = "";
};
// Source: the modules' names in the models' own code, in diffusers and in the trainers (kohya-ss/sd-scripts, OneTrainer). The
// first that holds counts, so that what several models have stands last.
constexpr Mark kMarks[] = {
    {"lora_prior_", "", "", "Stable Cascade"},
    {"prior_", "", "", "Stable Cascade"},
    {"lora_te3_", "", "", "SD3"},
    {"text_encoder_3_", "", "", "SD3"},
    // T5, which FLUX has as its second text encoder.
    {"lora_te2_encoder_block_", "", "", "FLUX"},
    {"text_encoder_2_encoder_block_", "", "", "FLUX"},
    {"lora_te_encoder_block_", "", "", "a model with a T5 text encoder"},
    {"text_encoder_encoder_block_", "", "", "a model with a T5 text encoder"},
    {"text_encoders_", "", "", "SD3 or FLUX"},
    {"t5_", "", "", "SD3 or FLUX"},
    {"joint_blocks", "", "", "SD3"},
    {"joint_transformer_blocks_", "", "", "AuraFlow"},
    // FLUX has the same blocks with other layers inside.
    {"double_blocks", "_img_mlp_fc", "", "HunyuanVideo"},
    {"double_blocks", "_txt_mlp_fc", "", "HunyuanVideo"},
    {"double_blocks", "_mod_linear", "", "HunyuanVideo"},
    {"single_blocks", "_modulation_linear", "", "HunyuanVideo"},
    {"context_embedder_token_refiner", "", "", "HunyuanVideo"},
    {"double_blocks", "", "", "FLUX"},
    {"single_blocks", "", "", "FLUX"},
    {"single_transformer_blocks", "", "", "FLUX"},
    {"transformer_blocks_", "_img_mlp_", "", "Qwen-Image"},
    {"transformer_blocks_", "_txt_mlp_", "", "Qwen-Image"},
    {"transformer_blocks_", "_img_mod_", "", "Qwen-Image"},
    {"transformer_blocks_", "_txt_mod_", "", "Qwen-Image"},
    {"transformer_blocks_", "_ff_context_", "", "FLUX or SD3"},
    {"transformer_blocks_", "_attn1_", "", "PixArt, LTX or another transformer model"},
    {"transformer_blocks_", "", "", kAnyTransformer},
    {"blocks_", "_cross_attn_", "_proj", "Anima or Cosmos"},
    {"blocks_", "_self_attn_", "_proj", "Anima or Cosmos"},
    {"blocks_", "_cross_attn_", "", "Wan"},
    {"blocks_", "_self_attn_", "", "Wan"},
    {"blocks_", "_ffn_", "", "Wan"},
    {"blocks_", "_attn1_", "", "Wan or Hunyuan-DiT"},
    {"blocks_", "_attn2_", "", "Wan or Hunyuan-DiT"},
    {"layers_", "_attention_", "", "Lumina or Z-Image"},
    {"layers_", "_feed_forward_", "", "Lumina or Z-Image"},
    // Its U-Net has blocks under names that begin like Stable Diffusion's.
    {"", "attention_to_", "", "Stable Cascade"},
    {"", "_kv_mapper", "", "Stable Cascade"},
    {"", "clip_txt_", "", "Stable Cascade"},
};

// What writers put before the model's own names: diffusers with a dot, so that it is not taken for `transformer_blocks`.
constexpr std::string_view kDottedRoot = "transformer.", kTransformerRoot = "lora_transformer_";
constexpr std::string_view kRoots[] = {"lora_unet_", kTransformerRoot, "lycoris_"};

}  // namespace

std::optional<std::string_view> foreign_architecture(std::string_view key) {
  std::string_view named = foreign_key(key);
  bool is_transformer = named.starts_with(kDottedRoot);
  if (is_transformer) named.remove_prefix(kDottedRoot.size());
  const std::string flat = flattened(named);
  if (flat.empty()) return std::nullopt;
  // HunyuanVideo's own files write `img_attn_qkv` where FLUX' write `img_attn.qkv`.
  if (key.find("double_blocks.") != key.npos &&
      (key.find("_attn_qkv") != key.npos || key.find("_attn_proj") != key.npos))
    return "HunyuanVideo";
  std::string_view name = flat;
  for (const std::string_view root : kRoots) {
    if (!name.starts_with(root)) continue;
    is_transformer = is_transformer || root == kTransformerRoot;
    name.remove_prefix(root.size());
    break;
  }
  for (const Mark& mark : kMarks) {
    if (!name.starts_with(mark.start) && !std::string_view(flat).starts_with(mark.start)) continue;
    const auto first = name.find(mark.first);
    if (first == name.npos || name.find(mark.second, first + mark.first.size()) == name.npos) continue;
    return mark.architecture;
  }
  return is_transformer ? std::optional(kAnyTransformer) : std::nullopt;
}

bool tells_more(std::string_view other, std::string_view known) {
  const auto is_open = [](std::string_view name) { return name.find(" or ") != name.npos; };
  return known.empty() || (is_open(known) && !is_open(other)) ||
         (known == kAnyTransformer && other != kAnyTransformer);
}

}  // namespace lowrank::formats
