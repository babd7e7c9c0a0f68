// Settings in the making: values of another program's JSON under A1111's labels.
#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

#include "prompt/generators/picture_settings.h"

namespace lowrank::prompt {

using Json = nlohmann::ordered_json;

// A field of a JSON object as text: strings as they are, numbers as they are written, "" for what is absent, null or
// no single value.
std::string text_field(const Json& object, std::string_view key);

// `null` unless the text is a JSON object.
Json json_object(std::string_view text);

// "models/sub\fox.safetensors" → "fox": a folder and a model file's ending are no part of its name.
std::string model_stem(std::string_view path);

class Draft {
 public:
  explicit Draft(std::string_view generator);

  Infotext& infotext() { return settings_.infotext; }
  void prompt(const std::string& text) { settings_.infotext.prompt = text; }
  void negative(const std::string& text) { settings_.infotext.negative_prompt = text; }
  // Nothing for "".
  void entry(std::string_view label, const std::string& value);
  void size(const std::string& width, const std::string& height);
  // Names of other programs become A1111's; a schedule inside the sampler's name too. Unknown ones are noted.
  void sampler(std::string name, std::string schedule = {});
  void model(const std::string& path) { entry("Model", model_stem(path)); }
  // 64 digits of a SHA-256 or their first; nothing for other hashes ("blake3:…", "0x…").
  void model_hash(const std::string& sha256);
  // A tag behind the prompt, unless one of this name is there. `hash`: 64 digits or their first ones, "" unknown.
  void lora(const std::string& path, const std::string& weight, const std::string& hash = {});
  void note(std::string text) { settings_.notes.push_back(std::move(text)); }

  // With the LoRAs' tags and hashes, and the text.
  PictureSettings finish() &&;

 private:
  PictureSettings settings_;
  std::string tags_, hashes_;
};

}  // namespace lowrank::prompt
