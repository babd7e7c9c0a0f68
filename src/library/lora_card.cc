#include "library/lora_card.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "base/atomic_file.h"
#include "base/error.h"

namespace lowrank::library {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

constexpr std::size_t kMaxSidecarBytes = 16u << 20;

bool file_exists(const fs::path& path) {
  std::error_code failure;
  return fs::is_regular_file(path, failure);
}

// NAME.ENDING beside NAME.safetensors.
fs::path beside(const fs::path& path, const char* ending) {
  return path.parent_path() / (path.stem().string() + ending);
}

json read_json(const fs::path& path, LoraCard& card) {
  if (!file_exists(path)) return {};
  try {
    json value = json::parse(read_file(path, kMaxSidecarBytes), nullptr, false);
    if (value.is_object()) return value;
    card.notes.push_back(fmt::format("{} is no JSON object and was passed over.", path.filename().string()));
  } catch (const Error& error) {
    card.notes.push_back(error.what());
  }
  return {};
}

std::string text_of(const json& object, const char* key) {
  if (!object.is_object()) return "";
  const auto found = object.find(key);
  return found != object.end() && found->is_string() ? found->get<std::string>() : "";
}

std::string trimmed(const std::string& text) {
  const auto first = text.find_first_not_of(" \t\r\n");
  if (first == std::string::npos) return "";
  return text.substr(first, text.find_last_not_of(" \t\r\n") - first + 1);
}

// ss_tag_frequency: JSON {"10_foxes": {"red fox": 23}}, added up over the folders.
std::vector<std::pair<std::string, long>> caption_tags(const std::string& text) {
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

std::string metadata_text(const std::map<std::string, std::string>& metadata, const char* key) {
  const auto found = metadata.find(key);
  return found == metadata.end() ? "" : found->second;
}

void read_sidecars(const fs::path& path, LoraCard& card) {
  const json user = read_json(beside(path, ".json"), card);
  card.description = text_of(user, "description");
  card.activation_text = text_of(user, "activation text");
  card.negative_text = text_of(user, "negative text");
  card.base_model = text_of(user, "sd version");
  if (user.is_object() && user.contains("preferred weight") && user["preferred weight"].is_number())
    card.preferred_weight = user["preferred weight"].get<double>();
  const json civitai = read_json(beside(path, ".civitai.info"), card);
  if (civitai.is_object() && civitai.contains("trainedWords") && civitai["trainedWords"].is_array())
    for (const auto& word : civitai["trainedWords"])
      if (word.is_string()) card.trigger_words.push_back(trimmed(word.get<std::string>()));
  if (card.base_model.empty()) card.base_model = text_of(civitai, "baseModel");
  for (const char* ending : {".txt", ".description.txt"})
    if (card.description.empty() && file_exists(beside(path, ending))) try {
        card.description = trimmed(read_file(beside(path, ending), kMaxSidecarBytes));
      } catch (const Error& error) {
        card.notes.push_back(error.what());
      }
}

}  // namespace

LoraCard read_lora_card(const fs::path& path, const std::map<std::string, std::string>& metadata) {
  LoraCard card;
  read_sidecars(path, card);
  if (card.trigger_words.empty())
    if (const std::string phrase = metadata_text(metadata, "modelspec.trigger_phrase"); !phrase.empty())
      card.trigger_words.push_back(phrase);
  for (const char* key : {"modelspec.description", "ssmd_description"})
    if (card.description.empty()) card.description = metadata_text(metadata, key);
  if (card.base_model.empty() || card.base_model == "Unknown")
    card.base_model = metadata_text(metadata, "ss_base_model_version");
  card.tags = caption_tags(metadata_text(metadata, "ss_tag_frequency"));
  for (const std::string middle : {"", ".preview"})
    for (const char* extension : {".png", ".jpg", ".jpeg", ".webp", ".gif"})
      if (const fs::path file = beside(path, (middle + extension).c_str());
          card.preview.empty() && file_exists(file))
        card.preview = file;
  return card;
}

std::string short_trigger(const LoraCard& card) {
  if (!card.activation_text.empty()) return card.activation_text;
  if (!card.trigger_words.empty()) return fmt::format("{}", fmt::join(card.trigger_words, ", "));
  return card.tags.empty() ? "" : card.tags.front().first;
}

}  // namespace lowrank::library
