#include "library/index/read_record.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "base/error.h"
#include "formats/checkpoint/checkpoint.h"
#include "formats/checkpoint/component_parameters.h"
#include "formats/checkpoint/partial_checkpoint.h"
#include "formats/checkpoint/single_file.h"
#include "formats/embedding_file.h"
#include "formats/lora/lora_family.h"
#include "formats/lora/lora_fit.h"
#include "formats/native_size.h"
#include "formats/subfamily.h"
#include "library/index/metadata_text.h"
#include "library/lora_folder.h"

namespace lowrank::library {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

constexpr std::size_t kMaxCaptionTags = 64;
constexpr std::size_t kKeptDescription = 4000;  // bytes; the sidecar keeps the whole

std::string json_text(const json& value) {
  return value.dump(-1, ' ', false, json::error_handler_t::replace);
}

std::string cut(std::string text, std::size_t bytes) {
  if (text.size() <= bytes) return text;
  while (bytes > 0 && (static_cast<unsigned char>(text[bytes]) & 0xC0) == 0x80) --bytes;
  text.resize(bytes);
  return text;
}

void copy_card(const LoraCard& card, Record& record) {
  record.title = card.title;
  record.base_model = card.base_model;
  record.type = card.type.name;
  record.type_origin = card.type.origin;
  record.type_reason = card.type.reason;
  record.triggers = json_text(card.trigger_words);
  record.tags = json_text(card.labels);
  auto counts = card.tags;
  if (counts.size() > kMaxCaptionTags) counts.resize(kMaxCaptionTags);
  record.caption_tags = json_text(counts);
  record.activation = card.activation_text;
  record.negative = card.negative_text;
  record.description = cut(card.description, kKeptDescription);
  record.notes = card.user_notes;
  record.weight = card.preferred_weight;
  record.rating = card.rating;
  record.preview = card.preview.filename().string();
  record.creator = card.creator;
  record.source = card.source;
  record.civitai_model = card.civitai_model;
  record.civitai_version = card.civitai_version;
}

std::string value_of(const std::map<std::string, std::string>& metadata, const char* key) {
  const auto found = metadata.find(key);
  return found == metadata.end() ? "" : found->second;
}

std::string lower_hex(std::string text) {
  std::ranges::transform(text, text.begin(),
                         [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; });
  return text;
}

void read_lora_record(const fs::path& path, formats::LoraSummariser& summariser, Record& record,
                      std::map<std::string, std::string>& metadata, std::vector<std::string>& embeddings) {
  formats::LoraSummary summary = summariser.read(path);
  embeddings = std::move(summary.embeddings);
  record.header = summary.header_digest;
  record.layout = summary.layout;
  record.problem = summary.problem;
  record.architecture = summary.architecture;
  record.base_reason = summary.base_reason;
  std::vector<std::string_view> kinds;
  for (const auto kind : summary.kinds) kinds.push_back(formats::adapter_kind_name(kind));
  std::ranges::sort(kinds);
  record.kinds = fmt::format("{}", fmt::join(kinds, "+"));
  record.rank_low = summary.rank_low;
  record.rank_high = summary.rank_high;
  record.cross_width = summary.cross_width;
  record.text_width = summary.text_width;
  record.unet_modules = summary.unet_modules;
  record.text_modules = summary.text_modules;
  metadata = std::move(summary.metadata);
  record.alias = prompt_alias(path, metadata);
  record.sshs = lower_hex(value_of(metadata, "sshs_model_hash"));
  record.sshs_legacy = lower_hex(value_of(metadata, "sshs_legacy_hash"));
}

std::int64_t width_of(const formats::ParameterViews& views, std::string_view ending) {
  for (const auto& [name, view] : views)
    if (name.ends_with(ending) && view.shape.size() >= 2) return view.shape[1];
  return 0;
}

void read_checkpoint_record(const fs::path& path, Record& record,
                            std::map<std::string, std::string>& metadata) {
  const formats::Checkpoint checkpoint = formats::open_without_vae(path);
  record.architecture = formats::architecture_name(checkpoint.base_model);
  record.cross_width = width_of(checkpoint[formats::Component::kUnet], "attn2.to_k.weight");
  record.text_width = width_of(checkpoint[formats::Component::kTextEncoder], "token_embedding.weight");
  record.text_width_2 = width_of(checkpoint[formats::Component::kTextEncoder2], "token_embedding.weight");
  record.layout = formats::layout_digest(checkpoint);
  record.native_size = formats::native_size(checkpoint);
  if (checkpoint.prediction == formats::PredictionType::kV) record.kinds = "v prediction";
  if (checkpoint.prediction == formats::PredictionType::kFlow) record.kinds = "rectified flow";
  metadata = checkpoint.metadata;
}

// Checkpoints of other families are refused by open_checkpoint, but their family is worth knowing.
void note_family(const fs::path& path, Record& record) {
  try {
    const auto file = weights::TensorFile::open(path);
    record.architecture = formats::architecture_name(formats::recognise_checkpoint(*file));
  } catch (const Error&) {
    // The reason why it cannot be read is told already.
  }
}

}  // namespace

std::string model_name(const PlaceRow& place, const fs::path& path) {
  return is_model_file(place, path.filename().string()) ? path.stem().string() : path.filename().string();
}

void read_record(const PlaceRow& place, const fs::path& path, const CardSources& sources,
                 formats::LoraSummariser& summariser, Record& record) {
  std::map<std::string, std::string> metadata;
  std::vector<std::string> embeddings;  // in the file: they act only when the prompt names them
  record.name = record.alias = model_name(place, path);
  record.problem.clear();
  record.header = record.layout = 0;
  try {
    if (place.kind == "lora") {
      read_lora_record(path, summariser, record, metadata, embeddings);
    } else if (place.kind == "checkpoint") {
      read_checkpoint_record(path, record, metadata);
    } else if (place.kind == "embedding") {
      const auto embedding = formats::open_embedding(path);
      const auto width_for = [&](formats::Component component) {
        const auto* view = embedding.vectors.find(component);
        return view == nullptr ? 0 : view->shape.back();
      };
      record.text_width = width_for(formats::Component::kTextEncoder);
      record.text_width_2 = width_for(formats::Component::kTextEncoder2);
      record.kinds = fmt::format("{} vectors", embedding.vectors.count());
    }
  } catch (const Error& error) {
    record.problem = error.what();
    if (place.kind == "checkpoint") note_family(path, record);
  }
  // What is broken behind its metadata still says what it was meant to be.
  if (place.kind == "lora" && !record.problem.empty() && metadata.empty())
    metadata = safetensors_metadata(path);
  LoraCard card = read_lora_card(path, metadata, sources);
  for (auto name = embeddings.rbegin(); name != embeddings.rend(); ++name)
    if (std::ranges::find(card.trigger_words, *name) == card.trigger_words.end())
      card.trigger_words.insert(card.trigger_words.begin(), *name);
  copy_card(card, record);
  auto names = std::vector{record.name, record.folder, card.title};
  const auto subfamily = formats::recognise_subfamily({.user = card.subfamily,
                                                       .site = card.base_model,
                                                       .metadata = formats::subfamily_metadata(metadata),
                                                       .names = std::move(names),
                                                       .architecture = record.architecture});
  record.subfamily = subfamily.name;
  record.subfamily_origin = subfamily.origin;
  record.subfamily_reason = subfamily.reason;
  record.subfamily_conflict = subfamily.conflict;
  record.metadata = place.kind == "lora" ? metadata_text(metadata) : "";
  if (place.kind != "lora") record.type = record.type_origin = record.type_reason = "";
}

}  // namespace lowrank::library
