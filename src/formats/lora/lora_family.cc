#include "formats/lora/lora_family.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <vector>

namespace lowrank::formats {
namespace {

struct Verdict {
  BaseModel model = BaseModel::kOther;
  std::string reason;
};

std::int64_t dimension(const LoraEntry& entry, std::string_view part, std::size_t index) {
  const auto place = entry.parts.find(part);
  if (place == entry.parts.end() || place->second.shape.size() <= index) return 0;
  return place->second.shape[index];
}

// The number of a transformer block within its attention; only SDXL stacks several. 0 for other layers.
int block_within_attention(std::string_view name) {
  constexpr std::string_view kWord = "transformer_blocks_";
  const auto at = name.find(kWord);
  if (at == std::string_view::npos) return 0;
  int number = 0;
  for (const char c : name.substr(at + kWord.size())) {
    if (c < '0' || c > '9' || number > 99) break;
    number = number * 10 + (c - '0');
  }
  return number;
}

// Layers that only some families have, by a part of the flattened name of a U-Net's layer.
struct LayerMark {
  std::string_view text;
  bool (*may_be)(const FamilyRow& row);
  std::string_view reason;
};
constexpr std::string_view kSizeEmbedding = "it changes the embedding of the picture's size",
                           kDeepestLevel = "its deepest level has attention",
                           kFirstLevel = "its first level has attention",
                           kFourthLevel = "it has a fourth level";
constexpr auto kToldSize = [](const FamilyRow& row) {
  return row.size_conditioning != SizeConditioning::kNone;
};
constexpr auto kDeepestAttends = [](const FamilyRow& row) {
  return row.unet.last_attention == row.unet.levels - 1;
};
constexpr auto kFirstAttends = [](const FamilyRow& row) { return row.unet.first_attention == 0; };
constexpr auto kHasFourLevels = [](const FamilyRow& row) { return row.unet.levels > 3; };
constexpr LayerMark kLayerMarks[] = {
    {"add_embedding_", kToldSize, kSizeEmbedding},
    {"label_emb_", kToldSize, kSizeEmbedding},
    {"up_blocks_0_attentions_", kDeepestAttends, kDeepestLevel},
    {"output_blocks_0_1_", kDeepestAttends, kDeepestLevel},
    {"down_blocks_0_attentions_", kFirstAttends, kFirstLevel},
    {"input_blocks_1_1_", kFirstAttends, kFirstLevel},
    {"down_blocks_3_", kHasFourLevels, kFourthLevel},
    {"up_blocks_3_", kHasFourLevels, kFourthLevel},
    {"input_blocks_10_", kHasFourLevels, kFourthLevel},
    {"output_blocks_9_", kHasFourLevels, kFourthLevel},
};

const LayerMark* mark_of(std::string_view name) {
  const auto found = std::ranges::find_if(
      kLayerMarks, [&](const LayerMark& mark) { return name.find(mark.text) != std::string_view::npos; });
  return found == std::end(kLayerMarks) ? nullptr : &*found;
}

bool sees_text(std::string_view name) {
  return name.ends_with("attn2_to_k") || name.ends_with("attn2_to_v");
}

// A layer of a text encoder whose input is as wide as the encoder.
bool has_encoder_width(std::string_view name) {
  return name.ends_with("self_attn_q_proj") || name.ends_with("self_attn_k_proj") ||
         name.ends_with("self_attn_v_proj") || name.ends_with("mlp_fc1");
}

std::vector<BaseModel> families_with(const auto& is_it) {
  std::vector<BaseModel> families;
  for (const FamilyRow& row : family_table())
    if (is_it(row)) families.push_back(row.model);
  return families;
}

// What names and shapes say: the families that it can be; one alone is certain.
struct Candidates {
  std::vector<BaseModel> families;
  std::string reason;
  bool has_likeliest = false;  // of several the first
};

Candidates by_unet(const LoraFile& lora, std::string& unknown_width) {
  const LayerMark* mark = nullptr;
  int last_block = 0;
  for (const LoraEntry& entry : lora.entries) {
    if (entry.component != Component::kUnet) continue;
    if (sees_text(entry.name)) {
      const auto width = input_width(entry);
      const auto reason = fmt::format("cross-attention width is {}", width);
      if (const FamilyRow* row = family_of_context(width)) return {{row->model}, reason};
      if (width > 0) unknown_width = reason;
    }
    last_block = std::max(last_block, block_within_attention(entry.name));
    if (mark == nullptr) mark = mark_of(entry.name);
  }
  // A model whose attention is deeper than any is one of those that stack blocks.
  const auto stacks = [&](const FamilyRow& row) { return row.unet.transformer_blocks > last_block; };
  if (last_block > 0)
    if (auto families = families_with(stacks); !families.empty())
      return {std::move(families),
              fmt::format("its attention has {} transformer blocks or more", last_block + 1), true};
  // Where the published models have attention tells nothing of a model with other widths.
  if (mark == nullptr || !unknown_width.empty()) return {};
  return {families_with(mark->may_be), std::string(mark->reason), mark->reason == kSizeEmbedding};
}

Candidates by_text(const LoraFile& lora, std::string& unknown_width) {
  for (const LoraEntry& entry : lora.entries) {
    if (!is_text_encoder(entry.component) || !has_encoder_width(entry.name)) continue;
    const auto width = input_width(entry);
    if (width <= 0) continue;
    const auto reason = fmt::format("its text encoder width is {}", width);
    auto families = families_with([&](const FamilyRow& row) {
      return std::ranges::find(row.text_encoders, width, &TextEncoderRow::width) != row.text_encoders.end();
    });
    if (families.empty()) {
      unknown_width = reason;
      return {};
    }
    // Only where there are two encoders do writers give the first a number.
    if (entry.number != EncoderNumber::kStated) return {std::move(families), reason, true};
    std::stable_partition(families.begin(), families.end(),
                          [](BaseModel model) { return family(model)->text_encoders.size() > 1; });
    return {std::move(families), reason + ", and its name says that there are two", true};
  }
  return {};
}

Candidates by_keys(const LoraFile& lora, bool has_second_encoder) {
  std::string unknown_width;
  Candidates found = by_unet(lora, unknown_width);
  if (found.families.size() == 1) return found;
  if (has_second_encoder)
    return {families_with([](const FamilyRow& row) { return row.text_encoders.size() > 1; }),
            "it changes a second text encoder"};
  Candidates text = by_text(lora, unknown_width);
  if (!found.families.empty() && !text.families.empty()) {
    std::erase_if(text.families, [&](BaseModel model) {
      return std::ranges::find(found.families, model) == found.families.end();
    });
    if (!text.families.empty()) return text;
  }
  if (!found.families.empty()) return found;
  if (!text.families.empty()) return text;
  return {{}, unknown_width};
}

Verdict by_metadata(const std::map<std::string, std::string>& metadata) {
  const auto value = [&](const char* key) {
    const auto place = metadata.find(key);
    return place == metadata.end() ? std::string() : place->second;
  };
  const std::string version = value("ss_base_model_version");
  const FamilyRow* const named = family_by_trainer(&FamilyRow::kohya_version, version);
  // A family that is told the picture's size is never a "v2", whatever a run's settings say beside it.
  if (value("ss_v2") == "True" && (named == nullptr || !kToldSize(*named)))
    return {std::ranges::find_if(family_table(), &FamilyRow::is_kohya_v2)->model, "metadata ss_v2 is True"};
  if (!version.empty())
    return {named == nullptr ? BaseModel::kOther : named->model,
            "metadata ss_base_model_version is " + version};
  if (const FamilyRow* row = family_by_trainer(&FamilyRow::modelspec, value("modelspec.architecture")))
    return {row->model, "metadata modelspec.architecture"};
  const auto first = metadata.lower_bound("ss_");
  if (first != metadata.end() && first->first.starts_with("ss_"))
    return {BaseModel::kSd1, "kohya metadata without a base model version"};
  return {};
}

}  // namespace

std::int64_t input_width(const LoraEntry& entry) {
  switch (entry.kind) {
    case AdapterKind::kLora:
    case AdapterKind::kLocon:
    case AdapterKind::kKasa:
    case AdapterKind::kAdalora:
      return dimension(entry, "lora_down.weight", 1);
    case AdapterKind::kLoha:
      return dimension(entry, "hada_w1_b", 1);
    case AdapterKind::kLokr: {
      const auto first = dimension(entry, entry.parts.contains("lokr_w1") ? "lokr_w1" : "lokr_w1_b", 1);
      const auto second = dimension(entry, entry.parts.contains("lokr_w2") ? "lokr_w2" : "lokr_w2_b", 1);
      return first < (1 << 24) && second < (1 << 24) ? first * second : 0;
    }
    case AdapterKind::kFull:
      return dimension(entry, "diff", 1);
    case AdapterKind::kDelora:
      return dimension(entry, "delora_A", 1);
    case AdapterKind::kHira:
      return dimension(entry, "hira_A", 1);
    case AdapterKind::kHra:
      return dimension(entry, "hra_u", 0);
    case AdapterKind::kC3a: {
      const auto blocks = dimension(entry, "c3a_kernel", 1), side = dimension(entry, "c3a_kernel", 2);
      return blocks < (1 << 24) && side < (1 << 24) ? blocks * side : 0;
    }
    case AdapterKind::kGlora:
      // [r, in] or, before LyCORIS 1.9, [in, r]: the longer side, of both matrices that act on the input.
      return std::max(dimension(entry, "a1.weight", 0), dimension(entry, "a1.weight", 1));
    case AdapterKind::kIa3:
    case AdapterKind::kNorm:
    case AdapterKind::kOft:
    case AdapterKind::kBoft:
    case AdapterKind::kOftPeft:
    case AdapterKind::kBoftPeft:
    case AdapterKind::kIa3Peft:
    case AdapterKind::kMiss:
    case AdapterKind::kVera:
    case AdapterKind::kShira:
    case AdapterKind::kFourierFt:
    case AdapterKind::kRandLora:
    case AdapterKind::kBias:
      return 0;
  }
  return 0;
}

void recognise_base_model(LoraFile& lora, bool has_second_encoder) {
  recognise_base_model(lora, has_second_encoder, lora.file->metadata());
}

void recognise_base_model(LoraFile& lora, bool has_second_encoder,
                          const std::map<std::string, std::string>& facts) {
  const Candidates keys = by_keys(lora, has_second_encoder);
  const Verdict metadata = by_metadata(facts);
  lora.is_base_certain = keys.families.size() == 1;
  const bool is_open_to_metadata = std::ranges::find(keys.families, metadata.model) != keys.families.end();
  if (keys.families.empty()) {
    lora.base_model = metadata.model;
    constexpr const char* kNothing = "neither its layers nor its metadata identify a family";
    lora.base_model_reason = metadata.reason.empty() ? (keys.reason.empty() ? kNothing : keys.reason)
                             : keys.reason.empty()   ? metadata.reason
                                                     : fmt::format("{}; {}", metadata.reason, keys.reason);
    return;
  }
  lora.base_model = is_open_to_metadata                          ? metadata.model
                    : lora.is_base_certain || keys.has_likeliest ? keys.families.front()
                                                                 : BaseModel::kOther;
  lora.base_model_reason = keys.reason;
  if (lora.is_base_certain || is_open_to_metadata) {
    if (!lora.is_base_certain) lora.base_model_reason += fmt::format("; {}", metadata.reason);
  } else {
    std::vector<std::string_view> names;
    for (const BaseModel model : keys.families) names.push_back(family_name(model));
    lora.base_model_reason += fmt::format(", as in {}", fmt::join(names, " and "));
  }
  if (metadata.model != BaseModel::kOther && !is_open_to_metadata)
    lora.base_model_reason += fmt::format(" (although {})", metadata.reason);
}

bool tells_family(std::string_view flat) {
  return sees_text(flat) || flat.find("transformer_blocks_1") != std::string_view::npos ||
         mark_of(flat) != nullptr || has_encoder_width(flat);
}

std::string_view family_name(BaseModel model) {
  const FamilyRow* row = family(model);
  return row == nullptr ? "other" : row->name;
}

std::string_view family_name(std::string_view architecture) {
  if (const FamilyRow* row = family_labelled(architecture)) return row->name;
  return architecture.empty() ? family_name(BaseModel::kOther) : architecture;
}

std::string_view architecture_name(BaseModel model) {
  const FamilyRow* row = family(model);
  return row == nullptr ? "" : row->label;
}

}  // namespace lowrank::formats
