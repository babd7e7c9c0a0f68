// A1111's text, which Forge, SD.Next and many nodes of ComfyUI write too; what Civitai and Fooocus add to it.
#include <fmt/format.h>

#include <algorithm>
#include <charconv>

#include "base/text/text.h"
#include "prompt/generators/civitai_resources.h"
#include "prompt/generators/draft.h"
#include "prompt/generators/readers.h"
#include "prompt/grammar/extra_networks.h"
#include "prompt/infotext_values.h"

namespace lowrank::prompt {
namespace {

constexpr std::string_view kCivitaiName = "civitai-";

bool has_tag(const Infotext& infotext, std::string_view name) {
  return std::ranges::any_of(parse_extra_networks(infotext.prompt).loras,
                             [&](const LoraTag& tag) { return tag.name == name; });
}

void add_tag(Infotext& infotext, const std::string& name, const std::string& weight) {
  if (name.empty() || name.find_first_of(":<>\n") != std::string::npos || has_tag(infotext, name)) return;
  infotext.prompt += fmt::format("{}<lora:{}:{}>", infotext.prompt.empty() ? "" : " ", name, weight);
}

// Fooocus: "fox: 0.5, hat: 1", where A1111 would have tags.
void add_listed_loras(Infotext& infotext) {
  const std::string* listed = infotext.find("Lora weights");
  if (listed == nullptr) return;
  for (const auto& [name, weight] : parse_hash_list(*listed)) add_tag(infotext, name, weight);
}

// What other programs and people call A1111's entries; A1111's own label wins.
constexpr std::pair<std::string_view, std::string_view> kOtherLabels[] = {
    {"CFG", "CFG scale"},
    {"cfg_scale", "CFG scale"},
    {"Guidance scale", "CFG scale"},
    {"Guidance Scale", "CFG scale"},
    {"Guidance", "CFG scale"},
    {"Width", "Size-1"},
    {"Height", "Size-2"},
    {"Scheduler", "Schedule type"},
    {"Schedule", "Schedule type"},
    {"Resolution-1", "Size-1"},
    {"Resolution-2", "Size-2"},
    {"Sampling method", "Sampler"},
    {"Sampling steps", "Steps"},
    {"Checkpoint", "Model"},
};

void use_a1111_labels(Infotext& infotext) {
  for (const auto& [other, label] : kOtherLabels) {
    const auto entry =
        std::ranges::find(infotext.entries, other, &std::pair<std::string, std::string>::first);
    if (entry != infotext.entries.end() && infotext.find(label) == nullptr) entry->first = label;
  }
}

// Values that are none of their label's are left out with a word, so that the others can be used.
void drop_unusable(PictureSettings& settings) {
  auto& entries = settings.infotext.entries;
  for (const char* label : {"Seed", "Variation seed"}) {
    const std::string* seed = settings.infotext.find(label);
    const std::string fault = seed == nullptr ? "" : seed_fault(*seed);
    if (fault.empty() || *seed == "-1") continue;
    settings.notes.push_back(fault + ".");
    std::erase_if(entries, [&](const auto& entry) { return entry.first == label; });
  }
  if (const std::string* size = settings.infotext.find("Size"))
    settings.notes.push_back(
        fmt::format("the size '{}' is not WIDTHxHEIGHT and was ignored.", size->substr(0, 60)));
}

// Names that other programs put into A1111's text: "Euler Ancestral Karras", "euler_simple", "fox.safetensors".
void use_a1111_names(PictureSettings& settings) {
  Infotext& infotext = settings.infotext;
  if (const std::string* model = infotext.find("Model"))
    if (model->ends_with(".safetensors") || model->ends_with(".ckpt"))
      infotext.set("Model", model_stem(*model));
  if (const std::string* hash = infotext.find("Model hash"); hash != nullptr && hash->size() == 64)
    infotext.set("Model hash", lower(hash->substr(0, 10)));
  const std::string* sampler = infotext.find("Sampler");
  if (sampler == nullptr) return;
  Draft other("");
  other.sampler(*sampler);
  const std::string *name = other.infotext().find("Sampler"),
                    *schedule = other.infotext().find("Schedule type");
  // What A1111 itself writes stays as it is, and so does what is unknown: whoever draws says so.
  if (name == nullptr || sampler->starts_with(*name)) return;
  infotext.set("Sampler", *name);
  if (schedule != nullptr) infotext.set_default("Schedule type", *schedule);
}

}  // namespace

std::string civitai_name(std::int64_t version) {
  return fmt::format("{}{}", kCivitaiName, version);
}

std::optional<std::int64_t> civitai_version_of(std::string_view name) {
  if (!name.starts_with(kCivitaiName)) return std::nullopt;
  name.remove_prefix(kCivitaiName.size());
  std::int64_t version = 0;
  const auto [end, status] = std::from_chars(name.data(), name.data() + name.size(), version);
  const bool is_whole = status == std::errc() && end == name.data() + name.size() && version > 0;
  return is_whole ? std::optional(version) : std::nullopt;
}

std::vector<CivitaiResource> civitai_resources(const Infotext& infotext) {
  std::vector<CivitaiResource> resources;
  const std::string* text = infotext.find("Civitai resources");
  const Json list = text == nullptr ? Json() : Json::parse(*text, nullptr, /*allow_exceptions=*/false);
  if (!list.is_array()) return resources;
  for (const Json& item : list) {
    const std::string type = text_field(item, "type");
    CivitaiResource resource{.kind = type == "lora" || type == "lycoris" || type == "dora" || type == "locon"
                                         ? "lora"
                                     : type == "checkpoint" ? "checkpoint"
                                     : type == "embed"      ? "embedding"
                                                            : "",
                             .name = text_field(item, "modelName")};
    const auto version = item.is_object() ? item.find("modelVersionId") : item.end();
    if (resource.kind.empty() || version == item.end() || !version->is_number_integer()) continue;
    resource.version = version->get<std::int64_t>();
    if (const std::string weight = text_field(item, "weight"); !weight.empty()) resource.weight = weight;
    if (resource.name.empty()) resource.name = civitai_name(resource.version);
    std::erase_if(resource.name, [](char c) { return c == ':' || c == '<' || c == '>' || c == '\n'; });
    resources.push_back(std::move(resource));
  }
  return resources;
}

// Pictures of A1111 that were on Civitai have both tags and resources: then the tags say all.
void add_resource_tags(Infotext& infotext) {
  const auto resources = civitai_resources(infotext);
  const auto loras = std::ranges::count(resources, "lora", &CivitaiResource::kind);
  if (parse_extra_networks(infotext.prompt).loras.size() >= static_cast<std::size_t>(loras)) return;
  for (const CivitaiResource& resource : resources)
    if (resource.kind == "lora") add_tag(infotext, resource.name, resource.weight);
}

PictureReading read_a1111(const PictureTexts& picture) {
  const std::string* text = main_text(picture);
  if (text == nullptr || trim(*text).empty() || json_object(*text).is_object()) return std::nullopt;
  PictureSettings settings{.generator = "A1111", .infotext = find_infotext(*text), .text = *text};
  // A comment may be anything ("Created with GIMP").
  const bool is_own_place = text == picture.find("UserComment") || text == picture.find("parameters");
  if (!is_own_place && settings.infotext.entries.empty()) return std::nullopt;
  use_a1111_labels(settings.infotext);
  drop_unusable(settings);
  use_a1111_names(settings);
  add_listed_loras(settings.infotext);
  add_resource_tags(settings.infotext);
  if (const std::string line = settings_among_words(settings.infotext); !line.empty())
    settings.notes.push_back(fmt::format(
        "the line '{}' looks like settings but was read as part of the prompt.", line.substr(0, 200)));
  return settings;
}

}  // namespace lowrank::prompt
