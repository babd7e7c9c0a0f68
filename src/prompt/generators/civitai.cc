// Civitai's own service: a graph of ComfyUI with its summary beside the nodes, in JPEG's UserComment.
#include <fmt/format.h>

#include "prompt/generators/flat_json.h"
#include "prompt/generators/readers.h"

namespace lowrank::prompt {
namespace {

constexpr KeyMeaning kCivitai[] = {
    {"prompt", kPromptWord},   {"negativePrompt", kNegativeWord}, {"steps", "Steps"},
    {"sampler", kSamplerWord}, {"cfgScale", "CFG scale"},         {"seed", "Seed"},
    {"width", kWidthWord},     {"height", kHeightWord},           {"clipSkip", "Clip skip"},
};

// "urn:air:sd1:lora:civitai:123@456" → "lora", 456; "" for what is no model of theirs.
struct Air {
  std::string type;
  std::string version;
};
Air parse_air(const std::string& text) {
  std::vector<std::string> parts(1);
  for (const char c : text) {
    if (c == ':' || c == '@') {
      parts.emplace_back();
    } else {
      parts.back() += c;
    }
  }
  const bool is_model = parts.size() == 7 && parts[1] == "air" && parts[4] == "civitai" &&
                        parts[6].find_first_not_of("0123456789") == std::string::npos && parts[6].size() < 16;
  return is_model ? Air{parts[3], parts[6]} : Air{};
}

// The list as it stands in the texts that the site copies.
Json resource_list(const Json& graph, const Json& summary) {
  Json list = Json::array();
  if (!graph.contains("extra") || !graph["extra"].is_object() || !graph["extra"].contains("airs"))
    return list;
  for (const Json& air : graph["extra"]["airs"]) {
    const Air model = parse_air(air.is_string() ? air.get<std::string>() : "");
    if (model.type.empty() || model.version.empty()) continue;
    Json item = {{"type", model.type}, {"modelVersionId", std::stoll(model.version)}};
    if (summary.contains("resources") && summary["resources"].is_array())
      for (const Json& used : summary["resources"])
        if (used.is_object() && text_field(used, "modelVersionId") == model.version &&
            used.contains("strength"))
          item["weight"] = used["strength"];
    list.push_back(std::move(item));
  }
  return list;
}

}  // namespace

PictureReading read_civitai(const PictureTexts& picture) {
  const std::string* text = main_text(picture);
  const Json graph = text == nullptr ? Json() : json_object(*text);
  if (!graph.is_object() || !graph.contains("extraMetadata")) return std::nullopt;
  const Json summary = json_object(text_field(graph, "extraMetadata"));
  if (!summary.is_object()) return std::nullopt;
  Draft draft("Civitai");
  read_keys(summary, kCivitai, draft);
  if (const Json list = resource_list(graph, summary); !list.empty())
    draft.entry("Civitai resources", list.dump());
  add_resource_tags(draft.infotext());
  return std::move(draft).finish();
}

}  // namespace lowrank::prompt
