#include "formats/lora/naming_table.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "formats/lora/kind_table.h"

namespace lowrank::formats {
namespace {

struct PrefixRow {
  std::string_view prefix;
  ModuleTarget target;
  bool is_stripped;  // false: the prefix is itself the head of the layer's path
};

// Modules without dots: everything before the key's first dot.
constexpr std::array kFlatPrefixes = {
    PrefixRow{"lora_unet_", ModuleTarget::kUnet, true},
    PrefixRow{"lora_te1_", ModuleTarget::kTextEncoder, true},
    PrefixRow{"lora_te2_", ModuleTarget::kSecondTextEncoder, true},
    PrefixRow{"lora_te_", ModuleTarget::kTextEncoder, true},
    PrefixRow{"oft_unet_", ModuleTarget::kUnet, true},
    PrefixRow{"lycoris_unet_", ModuleTarget::kUnet, true},
    PrefixRow{"lycoris_te1_", ModuleTarget::kTextEncoder, true},
    PrefixRow{"lycoris_te2_", ModuleTarget::kSecondTextEncoder, true},
    PrefixRow{"lycoris_te_", ModuleTarget::kTextEncoder, true},
    PrefixRow{"lycoris_text_model_", ModuleTarget::kTextEncoder, false},
    PrefixRow{"lycoris_encoder_layers_", ModuleTarget::kTextEncoder, false},
    PrefixRow{"lycoris_embeddings_", ModuleTarget::kTextEncoder, false},
    PrefixRow{"lycoris_final_layer_norm", ModuleTarget::kTextEncoder, false},
    PrefixRow{"lycoris_", ModuleTarget::kUnet, true},
};

// Modules with dots, after PEFT's `base_model.model.` is gone.
constexpr std::array kDottedPrefixes = {
    PrefixRow{"unet.", ModuleTarget::kUnet, true},
    PrefixRow{"text_encoder.", ModuleTarget::kTextEncoder, true},
    PrefixRow{"text_encoder_2.", ModuleTarget::kSecondTextEncoder, true},
    PrefixRow{"model.diffusion_model.", ModuleTarget::kUnet, true},
    PrefixRow{"diffusion_model.", ModuleTarget::kUnet, true},
    // OneTrainer's OMI names, and those of ComfyUI, which put the encoder's class behind its name.
    PrefixRow{"clip_l.transformer.", ModuleTarget::kTextEncoder, true},
    PrefixRow{"clip_h.transformer.", ModuleTarget::kTextEncoder, true},
    PrefixRow{"clip_g.transformer.", ModuleTarget::kSecondTextEncoder, true},
    PrefixRow{"clip_l.", ModuleTarget::kTextEncoder, true},
    PrefixRow{"clip_h.", ModuleTarget::kTextEncoder, true},
    PrefixRow{"clip_g.", ModuleTarget::kSecondTextEncoder, true},
    PrefixRow{"text_encoders.clip_l.transformer.", ModuleTarget::kTextEncoder, true},
    PrefixRow{"text_encoders.clip_h.transformer.", ModuleTarget::kTextEncoder, true},
    PrefixRow{"text_encoders.clip_g.transformer.", ModuleTarget::kSecondTextEncoder, true},
    PrefixRow{"text_model.", ModuleTarget::kTextEncoder, false},
    // CLIPTextModel of transformers 5 has no `text_model.`
    PrefixRow{"encoder.layers.", ModuleTarget::kTextEncoder, false},
    PrefixRow{"embeddings.", ModuleTarget::kTextEncoder, false},
    PrefixRow{"final_layer_norm", ModuleTarget::kTextEncoder, false},
    PrefixRow{"down_blocks.", ModuleTarget::kUnet, false},
    PrefixRow{"mid_block.", ModuleTarget::kUnet, false},
    PrefixRow{"up_blocks.", ModuleTarget::kUnet, false},
    PrefixRow{"time_embedding.", ModuleTarget::kUnet, false},
    PrefixRow{"add_embedding.", ModuleTarget::kUnet, false},
    PrefixRow{"input_blocks.", ModuleTarget::kUnet, false},
    PrefixRow{"middle_block.", ModuleTarget::kUnet, false},
    PrefixRow{"output_blocks.", ModuleTarget::kUnet, false},
};
// Layers outside the blocks, without any prefix.
constexpr std::array<std::string_view, 3> kBareUnetLayers = {"conv_in", "conv_norm_out", "conv_out"};

constexpr std::string_view kPeftRoot = "base_model.model.";

// What PyTorch's wrappers put before the names of the module they hold: DataParallel and torch.compile.
constexpr std::array<std::string_view, 3> kWrappers = {"module.", "_orig_mod.", "_orig_mod_"};

struct ForeignRow {
  std::string_view prefix, architecture;
};
constexpr std::array kForeignPrefixes = {
    ForeignRow{"lora_prior_", "Stable Cascade"},
    ForeignRow{"lora_te3_", "SD3 or FLUX"},
    ForeignRow{"lora_unet_double_blocks", "FLUX"},
    ForeignRow{"lora_unet_single_blocks", "FLUX"},
    ForeignRow{"lora_unet_joint_blocks", "SD3"},
    ForeignRow{"lora_transformer_", "FLUX or SD3"},
    ForeignRow{"lycoris_transformer_blocks", "FLUX or SD3"},
    ForeignRow{"transformer.", "FLUX or SD3"},
    ForeignRow{"double_blocks", "FLUX"},
    ForeignRow{"single_blocks", "FLUX"},
    ForeignRow{"joint_blocks", "SD3"},
    ForeignRow{"text_encoders.", "SD3 or FLUX"},
    ForeignRow{"t5.", "SD3 or FLUX"},
};

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
std::string without_processor(std::string path, ModuleTarget target) {
  const bool had_lora = path.ends_with("_lora");
  if (had_lora) path.resize(path.size() - 5);
  const auto at = path.find(".processor.");
  if (at != std::string::npos) path.erase(at, std::string_view(".processor").size());
  if (target == ModuleTarget::kUnet) {
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
    if (row.target == ModuleTarget::kUnet && !cut_front(rest, "model_diffusion_model_"))
      cut_front(rest, "diffusion_model_");
    return ModuleName{row.target, std::string(rest), std::string(rest)};
  }
  cut_front(module, kPeftRoot);
  cut_wrappers(module);
  for (const PrefixRow& row : kDottedPrefixes) {
    std::string_view rest = module;
    if (!cut_front(rest, row.prefix) || (rest.empty() && row.is_stripped)) continue;
    if (row.is_stripped) cut_wrappers(rest);
    if (row.is_stripped && cut_front(rest, kPeftRoot)) cut_wrappers(rest);
    std::string path = without_processor(std::string(row.is_stripped ? rest : module), row.target);
    std::string flat = flattened(path);
    return ModuleName{row.target, std::move(path), std::move(flat)};
  }
  if (std::find(kBareUnetLayers.begin(), kBareUnetLayers.end(), module) != kBareUnetLayers.end())
    return ModuleName{ModuleTarget::kUnet, std::string(module), std::string(module)};
  return std::nullopt;
}

std::optional<std::string_view> foreign_architecture(std::string_view key) {
  cut_wrappers(key);
  cut_front(key, kPeftRoot);
  const auto is_ours = [&](const PrefixRow& row) { return key.starts_with(row.prefix); };
  if (key.starts_with("text_encoders.") &&
      std::any_of(kDottedPrefixes.begin(), kDottedPrefixes.end(), is_ours))
    return std::nullopt;
  if (!cut_front(key, "model.diffusion_model.")) cut_front(key, "diffusion_model.");
  for (const ForeignRow& row : kForeignPrefixes)
    if (key.starts_with(row.prefix)) return row.architecture;
  return std::nullopt;
}

}  // namespace lowrank::formats
