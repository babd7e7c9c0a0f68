#include "prompt/generators/flat_json.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <memory>

#include "base/text/text.h"
#include "prompt/generators/readers.h"
#include "prompt/tokens/html_entities.h"

namespace lowrank::prompt {
namespace {

// The first two whole numbers of "(768, 1280)", "1024 x 768", "512x768".
std::pair<std::string, std::string> two_numbers(std::string_view text) {
  std::pair<std::string, std::string> numbers;
  std::string* target = &numbers.first;
  for (const char c : text) {
    if (c >= '0' && c <= '9') {
      *target += c;
    } else if (!target->empty()) {
      if (target == &numbers.second) break;
      target = &numbers.second;
    }
  }
  return numbers;
}

const Json* field(const Json& object, std::string_view key) {
  if (!object.is_object()) return nullptr;
  const auto found = object.find(key);
  return found == object.end() ? nullptr : &*found;
}

// A list of texts and numbers: JSON's, or as Python prints one ("['a', 'b']"), or one value alone.
std::vector<std::string> list_of(const Json* value) {
  std::vector<std::string> items;
  if (value == nullptr || value->is_null()) return items;
  if (value->is_array()) {
    for (const Json& item : *value)
      items.push_back(item.is_string() ? item.get<std::string>() : item.is_number() ? item.dump() : "");
    return items;
  }
  std::string text = value->is_string() ? value->get<std::string>() : value->is_number() ? value->dump() : "";
  if (text.empty() || text == "None" || text == "null") return items;
  if (!text.starts_with('[') || !text.ends_with(']')) return {text};
  for (std::size_t at = 1; at + 1 < text.size();) {
    const char quote = text[at];
    const bool is_quoted = quote == '\'' || quote == '"';
    const std::size_t end = is_quoted ? std::min(text.find(quote, at + 1), text.size() - 1)
                                      : std::min(text.find(',', at), text.size() - 1);
    const std::string item(trim(std::string_view(text).substr(at + is_quoted, end - at - is_quoted)));
    if (!item.empty()) items.push_back(item);
    at = text.find_first_not_of(" ,", end + 1);
    if (at == std::string::npos) break;
  }
  return items;
}

void add_loras(Draft& draft, const std::vector<std::string>& names, const std::vector<std::string>& weights) {
  for (std::size_t i = 0; i < names.size(); ++i) draft.lora(names[i], i < weights.size() ? weights[i] : "1");
}

// The JSON of the main text, if it has one of the keys.
Json main_object(const PictureTexts& picture, std::initializer_list<std::string_view> keys) {
  const std::string* text = main_text(picture);
  if (text == nullptr) return {};
  Json object = json_object(*text);
  const bool is_it = std::ranges::any_of(keys, [&](std::string_view key) { return object.contains(key); });
  return object.is_object() && is_it ? object : Json();
}

constexpr KeyMeaning kFooocus[] = {
    {"prompt", kPromptWord},    {"negative_prompt", kNegativeWord}, {"steps", "Steps"},
    {"sampler", kSamplerWord},  {"scheduler", kScheduleWord},       {"guidance_scale", "CFG scale"},
    {"seed", "Seed"},           {"resolution", kSizeWord},          {"base_model_hash", kModelHashWord},
    {"base_model", kModelWord}, {"clip_skip", "Clip skip"},         {"vae", kVaeWord},
};

// ["fox.safetensors", 0.8, "0123456789"] of `loras`, or "fox : 0.8" of `lora_combined_1` …
void add_fooocus_loras(const Json& object, Draft& draft) {
  if (const Json* loras = field(object, "loras"); loras != nullptr && loras->is_array())
    for (const Json& lora : *loras)
      if (lora.is_array() && lora.size() >= 2 && lora[0].is_string())
        draft.lora(lora[0].get<std::string>(), list_of(&lora)[1], lora.size() > 2 ? list_of(&lora)[2] : "");
  for (const auto& [key, value] : object.items()) {
    if (!key.starts_with("lora_combined_") || !value.is_string()) continue;
    std::string text = value.get<std::string>();
    if (text.starts_with("False : ")) continue;  // switched off
    if (text.starts_with("True : ")) text.erase(0, 7);
    const std::size_t colon = text.rfind(" : ");
    if (colon != std::string::npos) draft.lora(text.substr(0, colon), text.substr(colon + 3));
  }
}

constexpr KeyMeaning kOldFooocus[] = {
    {"Prompt", kPromptWord},
    {"prompt", kPromptWord},
    {"Negative", kNegativeWord},
    {"negative_prompt", kNegativeWord},
    {"steps", "Steps"},
    {"sampler_name", kSamplerWord},
    {"sampler", kSamplerWord},
    {"scheduler", kScheduleWord},
    {"cfg", "CFG scale"},
    {"seed", "Seed"},
    {"width", kWidthWord},
    {"height", kHeightWord},
    {"base_model_name", kModelWord},
    {"base_model", kModelWord},
    {"base_model_hash", kModelHashWord},
    {"clip_skip", "Clip skip"},
};

constexpr KeyMeaning kSwarmUi[] = {
    {"prompt", kPromptWord},
    {"negativeprompt", kNegativeWord},
    {"steps", "Steps"},
    {"sampler", kSamplerWord},
    {"comfyuisampler", kSamplerWord},
    {"scheduler", kScheduleWord},
    {"comfyuischeduler", kScheduleWord},
    {"cfgscale", "CFG scale"},
    {"seed", "Seed"},
    {"width", kWidthWord},
    {"height", kHeightWord},
    {"model", kModelWord},
    {"vae", kVaeWord},
    {"initimagecreativity", "Denoising strength"},
    {"variationseed", "Variation seed"},
    {"variationseedstrength", "Variation seed strength"},
};

constexpr KeyMeaning kSpace[] = {
    {"prompt", kPromptWord},
    {"negative_prompt", kNegativeWord},
    {"num_inference_steps", "Steps"},
    {"sampler", kSamplerWord},
    {"guidance_scale", "CFG scale"},
    {"seed", "Seed"},
    {"resolution", kSizeWord},
    {"width", kWidthWord},
    {"height", kHeightWord},
    {"Model hash", kModelHashWord},
    {"Model", kModelWord},
    {"model", kModelWord},
};

constexpr KeyMeaning kTensorArt[] = {
    {"prompt", kPromptWord},
    {"negativePrompt", kNegativeWord},
    {"steps", "Steps"},
    {"ksamplerName", kSamplerWord},
    {"samplerName", kSamplerWord},
    {"schedule", kScheduleWord},
    {"cfgScale", "CFG scale"},
    {"seed", "Seed"},
    {"width", kWidthWord},
    {"height", kHeightWord},
    {"clipSkip", "Clip skip"},
};

constexpr KeyMeaning kDrawThings[] = {
    {"c", kPromptWord},     {"uc", kNegativeWord}, {"steps", "Steps"},  {"sampler", kSamplerWord},
    {"scale", "CFG scale"}, {"seed", "Seed"},      {"size", kSizeWord}, {"model", kModelWord},
};

constexpr KeyMeaning kEasyDiffusion[] = {
    {"prompt", kPromptWord},
    {"Prompt", kPromptWord},
    {"negative_prompt", kNegativeWord},
    {"Negative Prompt", kNegativeWord},
    {"num_inference_steps", "Steps"},
    {"Steps", "Steps"},
    {"sampler_name", kSamplerWord},
    {"Sampler", kSamplerWord},
    {"guidance_scale", "CFG scale"},
    {"Guidance Scale", "CFG scale"},
    {"seed", "Seed"},
    {"Seed", "Seed"},
    {"width", kWidthWord},
    {"Width", kWidthWord},
    {"height", kHeightWord},
    {"Height", kHeightWord},
    {"use_stable_diffusion_model", kModelWord},
    {"Stable Diffusion model", kModelWord},
    {"use_vae_model", kVaeWord},
    {"VAE model", kVaeWord},
    {"prompt_strength", "Denoising strength"},
    {"Prompt Strength", "Denoising strength"},
};

// Its `.txt` beside a picture: one "Key: value" a line, the first is the prompt.
Json easy_diffusion_lines(std::string_view text) {
  Json object;
  if (!text.starts_with("Prompt: ") && !text.starts_with("prompt: ")) return object;
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t end = std::min(text.find('\n', at), text.size());
    const std::string_view line = text.substr(at, end - at);
    at = end + 1;
    const std::size_t colon = line.find(": ");
    if (colon != std::string_view::npos)
      object[std::string(line.substr(0, colon))] = trim(line.substr(colon + 2));
  }
  return object;
}

bool is_easy_diffusion(const Json& object) {
  return object.contains("use_stable_diffusion_model") || object.contains("Stable Diffusion model");
}

// XMP's element with its one text inside, "" when there is none.
std::string xmp_text(std::string_view packet, std::string_view element) {
  const std::size_t begin = packet.find(fmt::format("<{}>", element));
  if (begin == std::string_view::npos) return "";
  const std::size_t end = packet.find(fmt::format("</{}>", element), begin);
  std::size_t open = packet.find("<rdf:li", begin);
  open = open > end ? packet.find('>', begin) : packet.find('>', open);
  if (open == std::string_view::npos || open >= end) return "";
  const std::string_view inside = packet.substr(open + 1, std::min(packet.find('<', open), end) - open - 1);
  return decode_html_entities(inside);
}

// Pictures with words alone: the prompt, `-` and the negative prompt, a line of settings. Other writers of its form
// put labels in front.
PictureReading read_draw_things_words(std::string words, Draft draft) {
  if (words.starts_with("Prompt: ")) words.erase(0, 8);
  for (const std::string_view start : {"\n-", "\nNegative Prompt:"})
    if (const std::size_t at = words.find(start); at != std::string::npos)
      words.replace(at + 1, start.size() - 1, fmt::format("{} ", kNegativeLabel));
  const Infotext infotext = find_infotext(words);
  const auto value = [&](const char* label) {
    const std::string* found = infotext.find(label);
    return found == nullptr ? std::string() : *found;
  };
  if (infotext.entries.empty()) return std::nullopt;
  draft.prompt(infotext.prompt);
  draft.negative(infotext.negative_prompt);
  draft.entry("Steps", value("Steps"));
  draft.sampler(value("Sampler"));
  draft.entry("CFG scale", value("Guidance Scale"));
  draft.entry("Seed", value("Seed"));
  draft.size(value("Size-1"), value("Size-2"));
  if (!value("Model").empty()) draft.model(value("Model"));
  draft.lora(value("LoRA Model"), value("LoRA Weight"));
  return std::move(draft).finish();
}

}  // namespace

void read_keys(const Json& object, std::span<const KeyMeaning> keys, Draft& draft) {
  std::map<std::string_view, std::string> words;
  for (const KeyMeaning& meaning : keys) {
    const std::string value = text_field(object, meaning.key);
    if (value.empty() || value == "None" || words.contains(meaning.label)) continue;
    words[meaning.label] = value;
  }
  draft.prompt(std::string(trim(words[kPromptWord])));
  draft.negative(std::string(trim(words[kNegativeWord])));
  draft.entry("Steps", words["Steps"]);
  draft.sampler(words[kSamplerWord], words[kScheduleWord]);
  for (const KeyMeaning& meaning : keys)
    if (meaning.label.front() >= 'A' && meaning.label.front() <= 'Z')
      draft.entry(meaning.label, words[meaning.label]);
  if (const std::string& size = words[kSizeWord]; !size.empty()) {
    const auto [width, height] = two_numbers(size);
    draft.size(width, height);
  } else {
    draft.size(words[kWidthWord], words[kHeightWord]);
  }
  draft.model_hash(words[kModelHashWord]);
  if (!words[kModelWord].empty()) draft.model(words[kModelWord]);
  if (const std::string& vae = words[kVaeWord]; !vae.empty() && !vae.starts_with("Default"))
    draft.note(fmt::format("it was decoded with the VAE '{}'; set it with --vae if you have it.", vae));
}

PictureReading read_fooocus(const PictureTexts& picture) {
  const Json object = main_object(picture, {"metadata_scheme", "base_model", "full_prompt"});
  if (!object.is_object() || object.contains("software")) return std::nullopt;
  Draft draft("Fooocus");
  read_keys(object, kFooocus, draft);
  add_fooocus_loras(object, draft);
  if (const std::string styles = text_field(object, "styles"); !styles.empty() && styles != "[]")
    draft.note(fmt::format("Fooocus wrapped the prompt in its styles {}, which do not exist here.", styles));
  draft.entry("Version", text_field(object, "version"));
  return std::move(draft).finish();
}

PictureReading read_old_fooocus(const PictureTexts& picture) {
  const Json object = main_object(picture, {"software", "base_model_name"});
  if (!object.is_object() || (!object.contains("base_model_name") && !object.contains("base_model")))
    return std::nullopt;
  const std::string software = text_field(object, "software");
  Draft draft(software.starts_with("Ruined") ? "RuinedFooocus" : "Fooocus");
  read_keys(object, kOldFooocus, draft);
  for (int i = 1; i <= 9; ++i)
    draft.lora(text_field(object, fmt::format("l{}", i)), text_field(object, fmt::format("w{}", i)));
  add_fooocus_loras(object, draft);
  draft.entry("Version", software);
  return std::move(draft).finish();
}

PictureReading read_swarmui(const PictureTexts& picture) {
  const Json whole = main_object(picture, {"sui_image_params"});
  if (!whole.is_object()) return std::nullopt;
  const Json& object = whole["sui_image_params"];
  Draft draft("SwarmUI");
  read_keys(object, kSwarmUi, draft);
  std::map<std::string, std::string> hashes;
  if (const Json* models = field(whole, "sui_models"); models != nullptr && models->is_array())
    for (const Json& model : *models) {
      std::string hash = text_field(model, "hash");
      if (hash.starts_with("0x")) hash.erase(0, 2);
      hashes[model_stem(text_field(model, "name"))] = hash;
    }
  const auto names = list_of(field(object, "loras")), weights = list_of(field(object, "loraweights"));
  for (std::size_t i = 0; i < names.size(); ++i)
    draft.lora(names[i], i < weights.size() ? weights[i] : "1", hashes[model_stem(names[i])]);
  if (const auto layer = parse_integer(text_field(object, "clipstopatlayer")); layer && *layer < 0)
    draft.entry("Clip skip", fmt::format("{}", -*layer));
  if (const std::string version = text_field(object, "swarm_version"); !version.empty())
    draft.entry("Version", "SwarmUI " + version);
  return std::move(draft).finish();
}

PictureReading read_space(const PictureTexts& picture) {
  const Json object = main_object(picture, {"num_inference_steps"});
  if (!object.is_object() || is_easy_diffusion(object)) return std::nullopt;
  Draft draft("Hugging Face Space");
  read_keys(object, kSpace, draft);
  return std::move(draft).finish();
}

PictureReading read_tensor_art(const PictureTexts& picture) {
  const std::string* text = picture.find("generation_data");
  const Json object = text == nullptr ? Json() : json_object(*text);
  if (!object.is_object()) return std::nullopt;
  Draft draft("TensorArt");
  read_keys(object, kTensorArt, draft);
  if (const Json* model = field(object, "baseModel")) {
    draft.model_hash(text_field(*model, "hash"));
    draft.model(text_field(*model, "modelFileName"));
  }
  if (const Json* models = field(object, "models"); models != nullptr && models->is_array())
    for (const Json& model : *models)
      if (text_field(model, "type") == "LORA")
        draft.lora(text_field(model, "modelFileName"), text_field(model, "weight"));
  return std::move(draft).finish();
}

PictureReading read_draw_things(const PictureTexts& picture) {
  const std::string* packet = picture.find("XML:com.adobe.xmp");
  if (packet == nullptr || packet->find("Draw Things") == std::string::npos) return std::nullopt;
  const Json object = json_object(xmp_text(*packet, "exif:UserComment"));
  Draft draft("Draw Things");
  if (!object.is_object())
    return read_draw_things_words(xmp_text(*packet, "dc:description"), std::move(draft));
  read_keys(object, kDrawThings, draft);
  if (const auto strength = parse_number(text_field(object, "strength")); strength && *strength < 1)
    draft.entry("Denoising strength", text_field(object, "strength"));
  const Json* v2 = field(object, "v2");
  for (const Json* list : {field(object, "lora"), v2 == nullptr ? nullptr : field(*v2, "loras")}) {
    if (list == nullptr || !list->is_array()) continue;
    for (const Json& lora : *list) {
      const std::string file = text_field(lora, "file");
      draft.lora(file.empty() ? text_field(lora, "model") : file, text_field(lora, "weight"));
    }
  }
  return std::move(draft).finish();
}

PictureReading read_easy_diffusion(const PictureTexts& picture) {
  Json object;
  if (picture.find("use_stable_diffusion_model") != nullptr ||
      picture.find("Stable Diffusion model") != nullptr) {
    for (const auto& [key, value] : picture.texts) object[key] = value;
  } else if (const std::string* text = main_text(picture)) {
    object = json_object(*text);
    if (!object.is_object()) object = easy_diffusion_lines(*text);
  }
  if (!object.is_object() || !is_easy_diffusion(object)) return std::nullopt;
  Draft draft("Easy Diffusion");
  read_keys(object, kEasyDiffusion, draft);
  // The text form joins several by ", ".
  const auto listed = [&](const char* own, const char* said) {
    if (const Json* value = field(object, own)) return list_of(value);
    const std::string text = text_field(object, said);
    return list_of(text.empty() ? nullptr : std::make_unique<Json>("[" + text + "]").get());
  };
  add_loras(draft, listed("use_lora_model", "LoRA model"), listed("lora_alpha", "LoRA Strength"));
  const Json* skip = field(object, "clip_skip");
  const std::string skipped = text_field(object, "Clip Skip");
  if ((skip != nullptr && (*skip == true || *skip == "True")) || skipped == "True")
    draft.entry("Clip skip", "2");
  return std::move(draft).finish();
}

}  // namespace lowrank::prompt
