#include "formats/lora/naming_table.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "formats/checkpoint/open_clip_names.h"
#include "formats/lora/kind_table.h"

namespace lowrank::formats {
namespace {

// What a prefix says: a text encoder that may be either of two, the first or only one, the first of two, the second.
enum class Names { kUnet, kEncoder, kOneOrFirst, kEncoder1, kEncoder2 };

struct PrefixRow {
  std::string_view prefix;
  Names names;
  bool is_stripped;  // false: the prefix is itself the head of the layer's path
};

// Modules without dots: everything before the key's first dot.
constexpr std::array kFlatPrefixes = {
    PrefixRow{"lora_unet_", Names::kUnet, true},
    PrefixRow{"lora_te1_", Names::kEncoder1, true},
    PrefixRow{"lora_te2_", Names::kEncoder2, true},
    PrefixRow{"lora_te_", Names::kEncoder, true},
    PrefixRow{"oft_unet_", Names::kUnet, true},
    PrefixRow{"lycoris_unet_", Names::kUnet, true},
    PrefixRow{"lycoris_te1_", Names::kEncoder1, true},
    PrefixRow{"lycoris_te2_", Names::kEncoder2, true},
    PrefixRow{"lycoris_te_", Names::kEncoder, true},
    PrefixRow{"lycoris_text_model_", Names::kEncoder, false},
    PrefixRow{"lycoris_encoder_layers_", Names::kEncoder, false},
    PrefixRow{"lycoris_embeddings_", Names::kEncoder, false},
    PrefixRow{"lycoris_final_layer_norm", Names::kEncoder, false},
    PrefixRow{"lycoris_transformer_resblocks_", Names::kEncoder, false},
    PrefixRow{"lycoris_text_projection", Names::kEncoder, false},
    // LyCORIS around a whole model of CompVis' or Stability AI's code.
    PrefixRow{"lycoris_cond_stage_model_", Names::kOneOrFirst, true},
    PrefixRow{"lycoris_conditioner_embedders_0_transformer_", Names::kEncoder1, true},
    PrefixRow{"lycoris_conditioner_embedders_0_model_", Names::kEncoder2, true},
    PrefixRow{"lycoris_conditioner_embedders_1_model_", Names::kEncoder2, true},
    PrefixRow{"lycoris_", Names::kUnet, true},
};

// Modules with dots, after PEFT's `base_model.model.` is gone.
constexpr std::array kDottedPrefixes = {
    PrefixRow{"unet.", Names::kUnet, true},
    PrefixRow{"text_encoder.", Names::kOneOrFirst, true},
    PrefixRow{"text_encoder_2.", Names::kEncoder2, true},
    PrefixRow{"model.diffusion_model.", Names::kUnet, true},
    PrefixRow{"diffusion_model.", Names::kUnet, true},
    // OneTrainer's OMI names, and those of ComfyUI, which put the encoder's class behind its name.
    PrefixRow{"clip_l.transformer.", Names::kOneOrFirst, true},
    PrefixRow{"clip_h.transformer.", Names::kOneOrFirst, true},
    PrefixRow{"clip_g.transformer.", Names::kEncoder2, true},
    PrefixRow{"clip_l.", Names::kOneOrFirst, true},
    PrefixRow{"clip_h.", Names::kOneOrFirst, true},
    PrefixRow{"clip_g.", Names::kEncoder2, true},
    PrefixRow{"text_encoders.clip_l.transformer.", Names::kOneOrFirst, true},
    PrefixRow{"text_encoders.clip_h.transformer.", Names::kOneOrFirst, true},
    PrefixRow{"text_encoders.clip_g.transformer.", Names::kEncoder2, true},
    PrefixRow{"text_model.", Names::kEncoder, false},
    // CLIPTextModel of transformers 5 has no `text_model.`
    PrefixRow{"encoder.layers.", Names::kEncoder, false},
    PrefixRow{"embeddings.", Names::kEncoder, false},
    PrefixRow{"final_layer_norm", Names::kEncoder, false},
    // OpenCLIP itself.
    PrefixRow{"transformer.resblocks.", Names::kEncoder, false},
    PrefixRow{"text_projection", Names::kEncoder, false},
    // Checkpoint names with their roots.
    PrefixRow{"cond_stage_model.", Names::kOneOrFirst, true},
    PrefixRow{"conditioner.embedders.0.transformer.", Names::kEncoder1, true},
    PrefixRow{"conditioner.embedders.0.model.", Names::kEncoder2, true},
    PrefixRow{"conditioner.embedders.1.model.", Names::kEncoder2, true},
    PrefixRow{"down_blocks.", Names::kUnet, false},
    PrefixRow{"mid_block.", Names::kUnet, false},
    PrefixRow{"up_blocks.", Names::kUnet, false},
    PrefixRow{"time_embedding.", Names::kUnet, false},
    PrefixRow{"add_embedding.", Names::kUnet, false},
    PrefixRow{"time_embed.", Names::kUnet, false},
    PrefixRow{"label_emb.", Names::kUnet, false},
    PrefixRow{"input_blocks.", Names::kUnet, false},
    PrefixRow{"middle_block.", Names::kUnet, false},
    PrefixRow{"output_blocks.", Names::kUnet, false},
    PrefixRow{"out.", Names::kUnet, false},
};
// Layers outside the blocks, without any prefix.
constexpr std::array<std::string_view, 3> kBareUnetLayers = {"conv_in", "conv_norm_out", "conv_out"};

constexpr std::string_view kPeftRoot = "base_model.model.";

// What PyTorch's wrappers put before the names of the module they hold: DataParallel and torch.compile.
constexpr std::array<std::string_view, 3> kWrappers = {"module.", "_orig_mod.", "_orig_mod_"};

bool cut_front(std::string_view& text, std::string_view head) {
  if (!text.starts_with(head)) return false;
  text.remove_prefix(head.size());
  return true;
}

void cut_wrappers(std::string_view& text) {
  while (std::any_of(kWrappers.begin(), kWrappers.end(), [&](auto head) { return cut_front(text, head); })) {
  }
}

bool is_flat(std::string_view key) {
  return std::any_of(kFlatPrefixes.begin(), kFlatPrefixes.end(),
                     [&](const PrefixRow& row) { return key.starts_with(row.prefix); });
}

// In a PEFT model itself the adapter's name stands in the key: `.lora_A.default.weight`, `.hra_u.default`.
std::optional<KeySplit> split_named_peft(std::string_view key) {
  for (const SuffixRow& row : suffix_table()) {
    if (!row.is_peft) continue;
    const auto dot = row.suffix.find('.', 1);
    const std::string_view head = row.suffix.substr(0, dot);
    const std::string_view tail = dot == std::string_view::npos ? "" : row.suffix.substr(dot);
    if (!key.ends_with(tail)) continue;
    const std::string_view named = key.substr(0, key.size() - tail.size());
    const auto last = named.rfind('.');
    if (last == std::string_view::npos || last + 1 == named.size()) continue;
    const std::string_view before = named.substr(0, last);
    if (before.size() <= head.size() || !before.ends_with(head)) continue;
    return KeySplit{std::string(before.substr(0, before.size() - head.size())), row.part};
  }
  return std::nullopt;
}

// The first attention processors of diffusers: `attn1.processor.to_q_lora` is the layer `attn1.to_q`, and in
// the text encoder `self_attn.to_q_lora` is `self_attn.q_proj`.
std::string without_processor(std::string path, Names names) {
  const bool had_lora = path.ends_with("_lora");
  if (had_lora) path.resize(path.size() - 5);
  const auto at = path.find(".processor.");
  if (at != std::string::npos) path.erase(at, std::string_view(".processor").size());
  if (names == Names::kUnet) {
    if (path.ends_with(".to_out")) return fmt::format("{}.0", path);
    return path;
  }
  struct Projection {
    std::string_view processor, layer;
  };
  static constexpr std::array kProjections = {
      Projection{"self_attn.to_q", "self_attn.q_proj"},
      Projection{"self_attn.to_k", "self_attn.k_proj"},
      Projection{"self_attn.to_v", "self_attn.v_proj"},
      Projection{"self_attn.to_out", "self_attn.out_proj"},
  };
  for (const Projection& row : kProjections) {
    if (!path.ends_with(row.processor)) continue;
    path.resize(path.size() - row.processor.size());
    return path.append(row.layer);
  }
  return path;
}

// "transformer_resblocks_3_mlp_c_fc" → "transformer.resblocks.3.mlp.c_fc"; other names as they are.
std::string open_clip_path(std::string_view flat) {
  constexpr std::string_view kBlocks = "transformer_resblocks_";
  if (!flat.starts_with(kBlocks)) return std::string(flat);
  std::string_view rest = flat.substr(kBlocks.size());
  const auto number = rest.substr(0, rest.find('_'));
  rest.remove_prefix(std::min(number.size() + 1, rest.size()));
  std::string layer(rest);
  for (const std::string_view part : {"mlp", "attn"})
    if (rest.size() > part.size() && rest.starts_with(part) && rest[part.size()] == '_')
      layer[part.size()] = '.';
  return fmt::format("transformer.resblocks.{}.{}", number, layer);
}

// Gives a text encoder's layer the name under which it is looked up.
void name_text_layer(ModuleName& name) {
  std::string_view flat = name.flat;
  for (const std::string_view head : {"transformer_text_model_", "model_"})
    if (cut_front(flat, head)) break;
  cut_front(flat, "text_model_");
  std::string own(flat);
  // PEFT hangs itself on PyTorch's MultiheadAttention as a whole, and on the layer inside it.
  constexpr std::string_view kInner = "_attn_base_layer_out_proj";
  if (own.starts_with("transformer_resblocks_")) {
    if (own.ends_with(kInner)) own.replace(own.size() - kInner.size(), kInner.size(), "_attn_out_proj");
    if (own.ends_with("_attn")) own += "_in_proj";
    if (own.ends_with("_attn_in_proj_weight")) own.resize(own.size() - std::string_view("_weight").size());
  }
  const auto layers = open_clip_layers(open_clip_path(own));
  name.flat = layers.size() == 1 ? flattened(layers.front()) : std::move(own);
  if (layers.size() > 1)
    for (const std::string& layer : layers) name.fused.push_back(flattened(layer));
}

ModuleName named(Names names, std::string path) {
  ModuleName name;
  name.component = names == Names::kUnet       ? Component::kUnet
                   : names == Names::kEncoder2 ? Component::kTextEncoder2
                                               : Component::kTextEncoder;
  name.number = names == Names::kEncoder                                 ? EncoderNumber::kNone
                : names == Names::kEncoder1 || names == Names::kEncoder2 ? EncoderNumber::kStated
                                                                         : EncoderNumber::kImplied;
  name.flat = flattened(path);
  name.path = std::move(path);
  if (names != Names::kUnet) name_text_layer(name);
  return name;
}

}  // namespace

std::string flattened(std::string_view path) {
  std::string flat(path);
  std::replace(flat.begin(), flat.end(), '.', '_');
  return flat;
}

std::optional<KeySplit> split_key(std::string_view key) {
  cut_wrappers(key);
  const auto first_dot = key.find('.');
  const bool ends_at_first_dot = is_flat(key);
  const SuffixRow* best = nullptr;
  for (const SuffixRow& row : suffix_table()) {
    if (key.size() <= row.suffix.size() || !key.ends_with(row.suffix)) continue;
    // A kohya module has no dot, so the suffix is all that follows the first one.
    if (ends_at_first_dot && key.size() - row.suffix.size() != first_dot) continue;
    if (best == nullptr || row.suffix.size() > best->suffix.size()) best = &row;
  }
  if (best == nullptr || best->suffix == ".weight" || best->suffix == ".bias")
    if (auto named = split_named_peft(key)) return named;
  if (best == nullptr) return std::nullopt;
  return KeySplit{std::string(key.substr(0, key.size() - best->suffix.size())), best->part};
}

std::optional<ModuleName> name_of_module(std::string_view module) {
  cut_wrappers(module);
  for (const PrefixRow& row : kFlatPrefixes) {
    std::string_view rest = module;
    if (!cut_front(rest, row.prefix) || (rest.empty() && row.is_stripped)) continue;
    if (!row.is_stripped) rest = module.substr(std::string_view("lycoris_").size());
    cut_wrappers(rest);
    // LyCORIS around a whole model of CompVis' code.
    if (row.names == Names::kUnet && !cut_front(rest, "model_diffusion_model_"))
      cut_front(rest, "diffusion_model_");
    return named(row.names, std::string(rest));
  }
  cut_front(module, kPeftRoot);
  cut_wrappers(module);
  for (const PrefixRow& row : kDottedPrefixes) {
    std::string_view rest = module;
    if (!cut_front(rest, row.prefix) || (rest.empty() && row.is_stripped)) continue;
    if (row.is_stripped) cut_wrappers(rest);
    if (row.is_stripped && cut_front(rest, kPeftRoot)) cut_wrappers(rest);
    return named(row.names, without_processor(std::string(row.is_stripped ? rest : module), row.names));
  }
  if (std::find(kBareUnetLayers.begin(), kBareUnetLayers.end(), module) != kBareUnetLayers.end())
    return named(Names::kUnet, std::string(module));
  return std::nullopt;
}

std::string_view foreign_key(std::string_view key) {
  cut_wrappers(key);
  cut_front(key, kPeftRoot);
  const auto is_ours = [&](const PrefixRow& row) { return key.starts_with(row.prefix); };
  if ((key.starts_with("text_encoders.") || key.starts_with("transformer.resblocks.")) &&
      std::any_of(kDottedPrefixes.begin(), kDottedPrefixes.end(), is_ours))
    return "";
  if (!cut_front(key, "model.diffusion_model.")) cut_front(key, "diffusion_model.");
  return key;
}

}  // namespace lowrank::formats
