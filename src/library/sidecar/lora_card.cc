#include "library/sidecar/lora_card.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "base/error.h"
#include "base/text/text_file.h"
#include "library/json_fields.h"

namespace lowrank::library {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;
using Metadata = std::map<std::string, std::string>;

bool file_exists(const fs::path& path) {
  std::error_code failure;
  return fs::is_regular_file(path, failure);
}

std::string trimmed(const std::string& text) {
  const auto first = text.find_first_not_of(" \t\r\n,");
  if (first == std::string::npos) return "";
  return text.substr(first, text.find_last_not_of(" \t\r\n,") - first + 1);
}

std::vector<std::string> texts_of(const json& object, const char* key) {
  std::vector<std::string> texts;
  if (!object.is_object()) return texts;
  const auto found = object.find(key);
  if (found == object.end() || !found->is_array()) return texts;
  for (const auto& item : *found)
    if (item.is_string())
      if (std::string text = trimmed(item.get<std::string>()); !text.empty())
        texts.push_back(std::move(text));
  return texts;
}

// ss_tag_frequency: JSON {"10_foxes": {"red fox": 23}}, added up over the folders.
std::vector<std::pair<std::string, long>> caption_tags(const std::string& text) {
  if (text.empty()) return {};
  const json folders = json::parse(text, nullptr, false);
  std::map<std::string, long> counts;
  if (folders.is_object())
    for (const auto& folder : folders)
      if (folder.is_object())
        for (const auto& [tag, count] : folder.items())
          if (count.is_number_integer())
            counts[trimmed(tag)] += std::clamp<long>(count.get<long>(), 0, 1'000'000'000);
  std::vector<std::pair<std::string, long>> tags(counts.begin(), counts.end());
  std::ranges::stable_sort(tags, std::greater<>(), [](const auto& tag) { return tag.second; });
  return tags;
}

std::string metadata_text(const Metadata& metadata, const char* key) {
  const auto found = metadata.find(key);
  return found == metadata.end() || found->second == "None" ? "" : found->second;
}

// The files beside one model, under its present name and under those that it had.
class Sidecars {
 public:
  Sidecars(const fs::path& path, const CardSources& sources, LoraCard& card)
      : path_(path), sources_(sources), card_(card) {}

  // The first of the names that is there; "" none.
  fs::path find(const std::string& ending) const {
    const fs::path own = sidecar_path(path_, ending);
    if (sources_.listed != nullptr ? sources_.listed->contains(own.filename().string()) : file_exists(own))
      return own;
    for (const fs::path& former : sources_.former)
      if (!file_exists(former))
        if (const fs::path file = sidecar_path(former, ending); file_exists(file)) return file;
    return {};
  }

  json read(const std::string& ending) const { return read_object(find(ending)); }
  json read_object(const fs::path& file) const {
    if (file.empty()) return {};
    try {
      json value = json::parse(read_text_file(file, {.max_bytes = kMaxSidecarBytes}), nullptr, false);
      if (value.is_object()) return value;
      card_.notes.push_back(
          fmt::format("{} is not a JSON object and was ignored.", file.filename().string()));
    } catch (const Error& error) {
      card_.notes.push_back(error.what());
    }
    return {};
  }

  std::string text(const std::string& ending) const {
    const fs::path file = find(ending);
    if (file.empty()) return "";
    try {
      return trimmed(read_text_file(file, {.max_bytes = kMaxSidecarBytes}));
    } catch (const Error& error) {
      card_.notes.push_back(error.what());
      return "";
    }
  }

 private:
  const fs::path& path_;
  const CardSources& sources_;
  LoraCard& card_;
};

void read_user(const json& user, LoraCard& card) {
  const auto set = [&](std::string& field, const char* key) {
    if (const std::string text = text_field(user, key); !text.empty()) field = text;
  };
  set(card.description, "description");
  set(card.activation_text, "activation text");
  set(card.negative_text, "negative text");
  set(card.user_notes, "notes");
  set(card.base_model, "sd version");
  set(card.subfamily, "subfamily");
  if (const double weight = number_field(user, "preferred weight"); weight != 0)
    card.preferred_weight = weight;
  if (const auto rating = integer_field(user, "rating"); rating >= 1 && rating <= 5)
    card.rating = static_cast<int>(rating);
}

void append_new(std::vector<std::string>& list, std::vector<std::string> more) {
  for (std::string& item : more)
    if (std::ranges::find(list, item) == list.end()) list.push_back(std::move(item));
}

// LoRA Manager keeps the preferred strength in a JSON text: {"strength": 0.8}.
double strength_of(const json& manager) {
  return number_field(json::parse(text_field(manager, "usage_tips"), nullptr, false), "strength");
}

void read_civitai(const json& version, LoraCard& card) {
  const json& model = field(version, "model");
  append_new(card.trigger_words, texts_of(version, "trainedWords"));
  if (card.base_model.empty() || card.base_model == "Unknown")
    card.base_model = text_field(version, "baseModel");
  if (card.title.empty()) card.title = text_field(model, "name");
  if (card.creator.empty()) card.creator = text_field(field(version, "creator"), "username");
  if (card.civitai_version == 0) card.civitai_version = integer_field(version, "id");
  if (card.civitai_model == 0) card.civitai_model = integer_field(version, "modelId");
  for (const std::string& html : {text_field(version, "description"), text_field(model, "description")})
    if (card.description.empty()) card.description = text_of_html(html);
}

void read_metadata(const Metadata& metadata, LoraCard& card) {
  if (card.trigger_words.empty())
    if (const std::string phrase = metadata_text(metadata, "modelspec.trigger_phrase"); !phrase.empty())
      card.trigger_words.push_back(phrase);
  for (const char* key : {"modelspec.description", "ssmd_description"})
    if (card.description.empty()) card.description = metadata_text(metadata, key);
  if (card.title.empty()) card.title = metadata_text(metadata, "modelspec.title");
  for (const char* key : {"modelspec.author", "ssmd_author"})
    if (card.creator.empty()) card.creator = metadata_text(metadata, key);
  if (card.base_model.empty() || card.base_model == "Unknown")
    card.base_model = metadata_text(metadata, "ss_base_model_version");
  card.tags = caption_tags(metadata_text(metadata, "ss_tag_frequency"));
}

}  // namespace

fs::path sidecar_path(const fs::path& model, const std::string& ending) {
  return model.parent_path() / (model.stem().string() + ending);
}

const std::vector<std::string>& preview_endings() {
  static const std::vector<std::string> kEndings = {
      ".png",         ".jpg",         ".jpeg",         ".webp",         ".gif",
      ".preview.png", ".preview.jpg", ".preview.jpeg", ".preview.webp", ".preview.gif"};
  return kEndings;
}

LoraCard read_lora_card(const fs::path& path, const Metadata& metadata, const CardSources& sources) {
  LoraCard card;
  const Sidecars sidecars(path, sources, card);
  const json user = sidecars.read(".json"), manager = sidecars.read(".metadata.json"),
             civitai = sidecars.read(".civitai.info");
  json overlay;
  if (!sources.overlay.empty() && file_exists(sources.overlay))
    overlay = sidecars.read_object(sources.overlay);
  read_user(user, card);
  read_user(overlay, card);
  // LoRA Manager, where the user's own file is silent.
  if (card.preferred_weight == 0) card.preferred_weight = strength_of(manager);
  if (card.user_notes.empty()) card.user_notes = text_field(manager, "notes");
  if (card.base_model.empty() || card.base_model == "Unknown")
    card.base_model = text_field(manager, "base_model");
  card.title = text_field(manager, "model_name");
  append_new(card.trigger_words, texts_of(manager, "trainedWords"));
  read_civitai(civitai, card);
  read_civitai(field(manager, "civitai"), card);
  read_metadata(metadata, card);
  for (const char* ending : {".txt", ".description.txt"})
    if (card.description.empty()) card.description = sidecars.text(ending);

  std::vector<std::string> civitai_tags = texts_of(field(civitai, "model"), "tags");
  append_new(civitai_tags, texts_of(manager, "tags"));
  card.labels = overlay.contains("tags") ? texts_of(overlay, "tags")
                : user.contains("tags")  ? texts_of(user, "tags")
                                         : civitai_tags;
  card.source =
      !text_field(user, "source").empty() ? text_field(user, "source")
      : card.civitai_model != 0
          ? fmt::format("https://civitai.com/models/{}{}", card.civitai_model,
                        card.civitai_version == 0 ? std::string()
                                                  : fmt::format("?modelVersionId={}", card.civitai_version))
          : "";
  std::vector<std::string> names = {path.stem().string(), card.title};
  append_new(names, card.trigger_words);
  const std::string overlaid = text_field(overlay, "type");
  card.type = recognise_type({.user = overlaid.empty() ? text_field(user, "type") : overlaid,
                              .civitai_tags = std::move(civitai_tags),
                              .folder = sources.folder,
                              .names = std::move(names),
                              .caption_tags = card.tags});
  for (const std::string& ending : preview_endings())
    if (card.preview.empty()) card.preview = sidecars.find(ending);
  return card;
}

std::string short_trigger(const LoraCard& card) {
  if (!card.activation_text.empty()) return card.activation_text;
  if (!card.trigger_words.empty()) return fmt::format("{}", fmt::join(card.trigger_words, ", "));
  return card.tags.empty() ? "" : card.tags.front().first;
}

std::string text_of_html(const std::string& html) {
  struct Entity {
    std::string_view name, text;
  };
  static constexpr Entity kEntities[] = {{"&amp;", "&"},   {"&lt;", "<"},  {"&gt;", ">"},
                                         {"&quot;", "\""}, {"&#39;", "'"}, {"&nbsp;", " "}};
  std::string text;
  for (std::size_t i = 0; i < html.size(); ++i) {
    if (html[i] == '<') {
      const std::size_t close = html.find('>', i);
      if (close == std::string::npos) break;
      const std::string_view tag = std::string_view(html).substr(i, close - i);
      if (tag.starts_with("</p") || tag.starts_with("<br") || tag.starts_with("</h") ||
          tag.starts_with("</li"))
        text += '\n';
      i = close;
      continue;
    }
    const auto entity = std::ranges::find_if(
        kEntities, [&](const Entity& row) { return html.compare(i, row.name.size(), row.name) == 0; });
    if (entity != std::end(kEntities)) {
      text += entity->text;
      i += entity->name.size() - 1;
    } else {
      text += html[i];
    }
  }
  return trimmed(text);
}

}  // namespace lowrank::library
