#include "library/picture_settings.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/error.h"
#include "base/mapped_file.h"
#include "base/text/text.h"
#include "base/text/text_file.h"
#include "image/hidden_text.h"
#include "image/picture_texts.h"
#include "prompt/generators/civitai_resources.h"
#include "prompt/infotext.h"

namespace lowrank::library {
namespace {

namespace fs = std::filesystem;
using prompt::PictureSettings;

constexpr std::size_t kMaxTextBytes = 8u << 20;

prompt::PictureTexts texts_of(std::span<const std::byte> bytes, const std::string& name) {
  image::PictureWords words = image::read_words(bytes, name);
  std::erase_if(words.texts, [](const auto& entry) { return prompt::is_lowrank_mark(entry.second); });
  return {.texts = std::move(words.texts), .width = words.width, .height = words.height};
}

bool is_text_file(const fs::path& file) {
  const std::string ending = lower(file.extension().string());
  return ending == ".txt" || ending == ".json";
}

PictureSettings settings_of_text_file(const fs::path& file) {
  return prompt::settings_of_text(read_text_file(file, {.max_bytes = kMaxTextBytes}));
}

[[noreturn]] void refuse(const fs::path& picture) {
  const std::string said = what_it_says(MappedFile::open(picture)->bytes(), picture.string());
  throw Error(kBadInput, "{}: {}", picture.string(),
              said.empty() ? "contains no settings; only pictures saved with their settings do." : said);
}

}  // namespace

std::optional<PictureSettings> settings_of_picture(std::span<const std::byte> bytes,
                                                   const std::string& name) {
  prompt::PictureTexts texts = texts_of(bytes, name);
  if (auto settings = prompt::settings_of_picture(texts)) return settings;
  auto hidden = image::hidden_text(bytes, name);
  if (!hidden) return std::nullopt;
  // Where A1111 and NovelAI have theirs in formats without PNG's texts.
  texts.texts = {{"UserComment", std::move(*hidden)}};
  auto settings = prompt::settings_of_picture(texts);
  if (settings)
    settings->notes.push_back(
        "its settings were only found in the lowest bits of its pixels (stealth PNG info).");
  return settings;
}

std::string what_it_says(std::span<const std::byte> bytes, const std::string& name) {
  const auto words = texts_of(bytes, name);
  if (words.texts.empty()) return "";
  std::string names;
  for (const auto& [key, text] : words.texts) {
    names += (names.empty() ? "" : ", ") + key;
    if (key == "C2PA")
      names += fmt::format(" (Content Credentials{})", text.empty() ? "" : " of " + text.substr(0, 100));
  }
  return fmt::format("contains no settings that LowRank understands; it says: {}.", names);
}

std::optional<PictureSettings> settings_beside(const fs::path& picture) {
  if (auto own = settings_of_picture(MappedFile::open(picture)->bytes(), picture.string())) return own;
  for (const char* ending : {".txt", ".TXT", ".json"}) {
    const fs::path beside = fs::path(picture).replace_extension(ending);
    std::error_code failure;
    if (!fs::is_regular_file(beside, failure)) continue;
    PictureSettings settings = settings_of_text_file(beside);
    settings.notes.push_back(fmt::format("read from the accompanying file {}.", beside.filename().string()));
    return settings;
  }
  return std::nullopt;
}

PictureSettings load_settings(const fs::path& file) {
  if (is_text_file(file)) return settings_of_text_file(file);
  auto settings = settings_beside(file);
  if (!settings) refuse(file);
  return *std::move(settings);
}

void use_local_names(prompt::Infotext& infotext, const Library& library) {
  const std::string* listed = infotext.find("Lora hashes");
  const auto hashes = prompt::parse_hash_list(listed == nullptr ? "" : *listed);
  const auto resources = prompt::civitai_resources(infotext);
  prompt::localise_lora_names(infotext, [&](std::string_view name) -> std::optional<std::string> {
    std::optional<Record> here;
    for (const auto& [listed_name, hash] : hashes)
      if (!here && listed_name == name) here = library.find_hash(hash);
    for (const auto& resource : resources)
      if (!here && resource.kind == "lora" && resource.name == name)
        here = library.find_civitai_version(resource.version);
    if (!here) return std::nullopt;
    const auto meant = library.find_lora(name);
    return meant && meant->record.id == here->id ? std::nullopt : std::optional(library.prompt_name(*here));
  });
}

}  // namespace lowrank::library
