#include "formats/lora/lora_family.h"

#include <fmt/format.h>

#include <algorithm>
#include <optional>

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

// Only SDXL stacks several transformer blocks in one attention.
bool is_deep_transformer(std::string_view name) {
  constexpr std::string_view kWord = "transformer_blocks_";
  const auto at = name.find(kWord);
  if (at == std::string_view::npos) return false;
  const std::string_view number = name.substr(at + kWord.size());
  return !number.empty() && number[0] >= '1' && number[0] <= '9';
}

Verdict by_keys(const LoraFile& lora, bool has_second_encoder) {
  if (has_second_encoder) return {BaseModel::kSdxl, "it changes a second text encoder"};
  std::optional<Verdict> text_only;
  std::string unknown_width;
  for (const LoraEntry& entry : lora.entries) {
    const std::string_view name = entry.name;
    if (entry.component == Component::kUnet) {
      if (is_deep_transformer(name))
        return {BaseModel::kSdxl, "its attention has several transformer blocks"};
      if (!name.ends_with("attn2_to_k") && !name.ends_with("attn2_to_v")) continue;
      const auto width = input_width(entry);
      const auto reason = fmt::format("cross-attention width is {}", width);
      if (const FamilyRow* row = family_of_context(width)) return {row->model, reason};
      if (width > 0) unknown_width = reason;
    } else if (!text_only && name.ends_with("self_attn_q_proj")) {
      const auto width = input_width(entry);
      const auto reason = fmt::format("its text encoder width is {}", width);
      if (const FamilyRow* row = family_of_text(width)) text_only = {row->model, reason};
      if (width > 0 && !text_only && unknown_width.empty()) unknown_width = reason;
    }
  }
  if (text_only) return *text_only;
  return {BaseModel::kOther, unknown_width};
}

Verdict by_metadata(const std::map<std::string, std::string>& metadata) {
  const auto value = [&](const char* key) {
    const auto place = metadata.find(key);
    return place == metadata.end() ? std::string() : place->second;
  };
  const std::string version = value("ss_base_model_version");
  if (value("ss_v2") == "True" && !version.starts_with(family(BaseModel::kSdxl)->kohya_version))
    return {BaseModel::kSd2, "metadata ss_v2 is True"};
  for (const FamilyRow& row : family_table())
    if (version.starts_with(row.kohya_version))
      return {row.model, "metadata ss_base_model_version is " + version};
  if (!version.empty()) return {BaseModel::kOther, "metadata ss_base_model_version is " + version};
  for (const FamilyRow& row : family_table())
    if (value("modelspec.architecture").starts_with(row.modelspec))
      return {row.model, "metadata modelspec.architecture"};
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
  Verdict keys = by_keys(lora, has_second_encoder);
  Verdict metadata = by_metadata(facts);
  if (keys.model == BaseModel::kOther) {
    lora.base_model = metadata.model;
    constexpr const char* kNothing = "neither its layers nor its metadata identify a family";
    lora.base_model_reason = metadata.reason.empty() ? (keys.reason.empty() ? kNothing : keys.reason)
                             : keys.reason.empty()   ? metadata.reason
                                                     : fmt::format("{}; {}", metadata.reason, keys.reason);
    return;
  }
  lora.base_model = keys.model;
  lora.base_model_reason = keys.reason;
  if (metadata.model != BaseModel::kOther && metadata.model != keys.model)
    lora.base_model_reason += fmt::format(" (although {})", metadata.reason);
}

std::string_view family_name(BaseModel model) {
  const FamilyRow* row = family(model);
  return row == nullptr ? "other" : row->name;
}

std::string_view family_name(std::string_view architecture) {
  if (const FamilyRow* row = family_labelled(architecture)) return row->name;
  return architecture.empty() ? family_name(BaseModel::kOther) : architecture;
}

}  // namespace lowrank::formats
