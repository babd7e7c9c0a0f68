#include "prompt/generators/generators.h"

#include <fmt/format.h>

#include <algorithm>

#include "prompt/generators/draft.h"
#include "prompt/generators/pasted_text.h"
#include "prompt/generators/readers.h"

namespace lowrank::prompt {
namespace {

// A1111 behind the programs that keep JSON in its place; ComfyUI behind A1111, for some of its nodes write both.
constexpr GeneratorRow kTable[] = {
    {"SwarmUI", read_swarmui},
    {"Fooocus", read_fooocus},
    {"Fooocus of 2023, RuinedFooocus", read_old_fooocus},
    {"Easy Diffusion", read_easy_diffusion},
    {"Hugging Face Space", read_space},
    {"InvokeAI", read_invokeai},
    {"InvokeAI 2", read_invokeai_2},
    {"InvokeAI 1", read_invokeai_dream},
    {"NovelAI", read_novelai},
    {"Draw Things", read_draw_things},
    {"Civitai", read_civitai},
    {"TensorArt", read_tensor_art},
    {"A1111", read_a1111},
    {"ComfyUI", read_comfyui},
    {"A1111's API", read_a1111_api},
};

}  // namespace

const std::string* PictureTexts::find(std::string_view key) const {
  const auto found = std::ranges::find(texts, key, &std::pair<std::string, std::string>::first);
  return found == texts.end() ? nullptr : &found->second;
}

std::span<const GeneratorRow> generator_table() {
  return kTable;
}

std::optional<PictureSettings> settings_of_picture(const PictureTexts& picture) {
  for (const GeneratorRow& row : kTable)
    if (auto settings = row.read(picture)) return settings;
  return std::nullopt;
}

PictureSettings settings_of_text(std::string_view given) {
  // JSON, and texts of programs that have labels of their own, are what they are.
  const bool is_json = json_object(given).is_object();
  auto other = settings_of_picture({.texts = {{"parameters", std::string(given)}}});
  if (other && (is_json || other->generator != "A1111")) return *std::move(other);
  std::vector<std::string> notes;
  const std::string text = is_json ? std::string(given) : unwrapped_settings(given, notes);
  const PictureTexts as_picture{.texts = {{"parameters", text}}};
  if (auto settings = settings_of_picture(as_picture)) {
    settings->notes.insert(settings->notes.begin(), notes.begin(), notes.end());
    return *settings;
  }
  PictureSettings settings{.generator = "A1111", .infotext = {}, .text = text, .notes = notes};
  if (const Json object = json_object(text); object.is_object()) {
    std::string keys;
    for (const auto& [key, value] : object.items())
      if (keys.size() < 200) keys += fmt::format("{}{}", keys.empty() ? "" : ", ", key);
    settings.generator = "an unknown program";
    settings.is_understood = false;
    settings.notes.push_back(
        fmt::format("JSON of an unknown program, with the keys {}: nothing was read.", keys));
  } else {
    settings.infotext = find_infotext(text);
  }
  return settings;
}

const std::string* main_text(const PictureTexts& picture) {
  for (const char* key : {"UserComment", "parameters", "comment", "Comment"})
    if (const std::string* text = picture.find(key)) return text;
  return nullptr;
}

}  // namespace lowrank::prompt
