// InvokeAI: `invokeai_metadata` since version 3, `sd-metadata` of version 2, the command line in `Dream` before.
#include <fmt/format.h>

#include "base/text/text.h"
#include "prompt/generators/flat_json.h"
#include "prompt/generators/readers.h"

namespace lowrank::prompt {
namespace {

constexpr KeyMeaning kInvokeAi[] = {
    {"positive_prompt", kPromptWord},
    {"negative_prompt", kNegativeWord},
    {"steps", "Steps"},
    {"scheduler", kSamplerWord},
    {"cfg_scale", "CFG scale"},
    {"seed", "Seed"},
    {"width", kWidthWord},
    {"height", kHeightWord},
    {"strength", "Denoising strength"},
};

constexpr KeyMeaning kSdMetadata[] = {
    {"steps", "Steps"},    {"sampler", kSamplerWord}, {"cfg_scale", "CFG scale"},         {"seed", "Seed"},
    {"width", kWidthWord}, {"height", kHeightWord},   {"strength", "Denoising strength"},
};

// Older versions called a model's name `model_name`.
std::string model_name(const Json& model) {
  const std::string name = text_field(model, "name");
  return name.empty() ? text_field(model, "model_name") : name;
}

// Its prompts raise and lower words by plus and minus signs.
void note_weights(Draft& draft) {
  const std::string& words = draft.infotext().prompt;
  if (words.find("++") != std::string::npos || words.find(")+") != std::string::npos ||
      words.find("--") != std::string::npos || words.find(")-") != std::string::npos)
    draft.note("InvokeAI weights words with a trailing + or -, which are plain characters here.");
}

// Words in square brackets are the negative prompt: "a fox [blurry, dark]".
void split_prompt(const std::string& text, Draft& draft) {
  std::string positive, negative;
  std::string* target = &positive;
  for (const char c : text) {
    if (c == '[' && target == &positive) {
      target = &negative;
      if (!negative.empty()) negative += ", ";
    } else if (c == ']' && target == &negative) {
      target = &positive;
    } else {
      *target += c;
    }
  }
  draft.prompt(std::string(trim(positive)));
  draft.negative(std::string(trim(negative)));
}

void add_loras(const Json& object, Draft& draft) {
  const auto loras = object.find("loras");
  if (loras == object.end() || !loras->is_array()) return;
  for (const Json& lora : *loras) {
    if (!lora.is_object()) continue;
    const auto model = lora.contains("model") ? lora.find("model") : lora.find("lora");
    if (model == lora.end()) continue;
    draft.lora(model->is_string() ? model->get<std::string>() : model_name(*model),
               text_field(lora, "weight"));
  }
}

}  // namespace

PictureReading read_invokeai(const PictureTexts& picture) {
  const std::string* text = picture.find("invokeai_metadata");
  const Json object = text == nullptr ? Json() : json_object(*text);
  if (!object.is_object()) return std::nullopt;
  Draft draft("InvokeAI");
  read_keys(object, kInvokeAi, draft);
  note_weights(draft);
  if (const auto model = object.find("model"); model != object.end() && !model_name(*model).empty())
    draft.model(model_name(*model));
  add_loras(object, draft);
  if (const auto skipped = parse_integer(text_field(object, "clip_skip")); skipped && *skipped > 0)
    draft.entry("Clip skip", fmt::format("{}", *skipped + 1));
  if (text_field(object, "rand_device") == "cpu") draft.entry("RNG", "CPU");
  for (const char* other : {"controlnets", "ipAdapters", "t2iAdapters"})
    if (const auto list = object.find(other); list != object.end() && list->is_array() && !list->empty())
      draft.note(fmt::format("its {} are not supported here.", other));
  if (const std::string version = text_field(object, "app_version"); !version.empty())
    draft.entry("Version", "InvokeAI " + version);
  return std::move(draft).finish();
}

PictureReading read_invokeai_2(const PictureTexts& picture) {
  const std::string* text = picture.find("sd-metadata");
  const Json object = text == nullptr ? Json() : json_object(*text);
  if (!object.is_object()) return std::nullopt;
  const auto image = object.find("image");
  if (image == object.end() || !image->is_object()) return std::nullopt;
  Draft draft("InvokeAI");
  read_keys(*image, kSdMetadata, draft);
  if (const auto prompt = image->find("prompt"); prompt != image->end()) {
    std::string words = prompt->is_string() ? prompt->get<std::string>() : "";
    if (prompt->is_array())
      for (const Json& part : *prompt) words += (words.empty() ? "" : " ") + text_field(part, "prompt");
    split_prompt(words, draft);
  }
  draft.model_hash(text_field(object, "model_hash"));
  if (const std::string model = text_field(object, "model_weights"); !model.empty()) draft.model(model);
  if (const std::string version = text_field(object, "app_version"); !version.empty())
    draft.entry("Version", "InvokeAI " + version);
  return std::move(draft).finish();
}

PictureReading read_invokeai_dream(const PictureTexts& picture) {
  const std::string* text = picture.find("Dream");
  if (text == nullptr || !text->starts_with('"')) return std::nullopt;
  const std::size_t end = text->rfind('"');
  if (end == 0) return std::nullopt;
  Draft draft("InvokeAI");
  split_prompt(text->substr(1, end - 1), draft);
  std::string width, height, sampler;
  const std::string_view options = std::string_view(*text).substr(end + 1);
  const auto word = [&](std::size_t& at) {
    at = skip_space(options, at);
    const std::size_t begin = at;
    at = std::min(options.find(' ', at), options.size());
    return std::string(options.substr(begin, at - begin));
  };
  for (std::size_t at = 0; at < options.size();) {
    std::string option = word(at);
    if (option.size() < 2 || option[0] != '-') continue;
    const std::string value =
        option.size() > 2 && option[1] != '-' && parse_number(option.substr(2)) ? option.substr(2) : word(at);
    option = option.substr(0, option[1] == '-' ? std::string::npos : 2);
    if (option == "-s" || option == "--steps") draft.entry("Steps", value);
    if (option == "-S" || option == "--seed") draft.entry("Seed", value);
    if (option == "-C" || option == "--cfg_scale") draft.entry("CFG scale", value);
    if (option == "-A" || option == "--sampler") sampler = value;
    if (option == "-W" || option == "--width") width = value;
    if (option == "-H" || option == "--height") height = value;
    if (option == "-f" || option == "--strength") draft.entry("Denoising strength", value);
  }
  draft.sampler(sampler);
  draft.size(width, height);
  return std::move(draft).finish();
}

}  // namespace lowrank::prompt
