#include "cli/prompt_resources.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "base/atomic_file.h"
#include "base/error.h"
#include "image/codec.h"
#include "prompt/extra_networks.h"
#include "prompt/infotext.h"
#include "prompt/text.h"

namespace lowrank::cli {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

class Needs {
 public:
  std::vector<NeededFile> list;

  NeededFile& add(std::string_view kind, const std::string& name) {
    for (NeededFile& file : list)
      if (file.kind == kind && !name.empty() && file.name == name) return file;
    list.push_back({.kind = std::string(kind), .name = name, .hash = {}, .civitai_version = 0});
    return list.back();
  }
};

void add_tags(Needs& needs, const std::string& text) {
  for (const auto& tag : prompt::parse_extra_networks(text).loras) needs.add("lora", tag.name);
}

void add_hashes(Needs& needs, const prompt::Infotext& infotext, const char* key, std::string_view kind) {
  if (const std::string* list = infotext.find(key))
    for (auto& [name, hash] : prompt::parse_hash_list(*list)) needs.add(kind, name).hash = hash;
}

// The JSON value that follows `key` in the text. The sites write it unquoted into infotexts, whose own rules
// then cannot tell where it ends; A1111 writes it as a quoted text.
json json_behind(const std::string& text, const std::string& key) {
  const auto at = text.rfind(key);
  if (at == std::string::npos) return {};
  const std::size_t begin = at + key.size();
  int depth = 0;
  bool inside = false;
  for (std::size_t i = begin; i < text.size(); ++i) {
    const char c = text[i];
    if (inside && c == '\\') {
      ++i;
    } else if (c == '"') {
      inside = !inside;
    } else if (!inside && (c == '{' || c == '[')) {
      ++depth;
    } else if (!inside && (c == '}' || c == ']')) {
      --depth;
    }
    if (depth > 0 || inside) continue;
    json value = json::parse(text.substr(begin, i + 1 - begin), nullptr, false);
    if (value.is_string()) value = json::parse(value.get<std::string>(), nullptr, false);
    return value;
  }
  return {};
}

// {"model": "d56b…", "lora:fox": "0123…", "embed:bad": "…"}
void add_extension_hashes(Needs& needs, const json& hashes) {
  if (!hashes.is_object()) return;
  for (const auto& [key, value] : hashes.items()) {
    if (!value.is_string()) continue;
    const auto colon = key.find(':');
    const std::string prefix = key.substr(0, colon),
                      name = colon == std::string::npos ? "" : key.substr(colon + 1);
    if (prefix == "lora" || prefix == "lyco") {
      NeededFile& file = needs.add("lora", name);
      if (file.hash.empty()) file.hash = value.get<std::string>();
    } else if (prefix == "embed") {
      NeededFile& file = needs.add("embedding", name);
      if (file.hash.empty()) file.hash = value.get<std::string>();
    }
  }
}

// [{"type": "lora", "weight": 0.8, "modelVersionId": 123, "modelName": "Fox"}]
void add_civitai_resources(Needs& needs, const json& resources) {
  if (!resources.is_array()) return;
  for (const auto& item : resources) {
    if (!item.is_object()) continue;
    const auto version = item.find("modelVersionId");
    if (version == item.end() || !version->is_number_integer()) continue;
    const std::string type =
        item.contains("type") && item["type"].is_string() ? item["type"].get<std::string>() : "";
    const std::string_view kind = type == "lora" || type == "lycoris" || type == "dora" ? "lora"
                                  : type == "checkpoint"                                ? "checkpoint"
                                  : type == "embed"                                     ? "embedding"
                                                                                        : "";
    if (kind.empty()) continue;
    const std::string name = item.contains("modelName") && item["modelName"].is_string()
                                 ? item["modelName"].get<std::string>()
                                 : "";
    needs.add(kind, name).civitai_version = version->get<std::int64_t>();
  }
}

}  // namespace

std::vector<NeededFile> needed_files(const std::string& text) {
  const prompt::Infotext infotext = prompt::parse_infotext(text);
  Needs needs;
  add_tags(needs, infotext.prompt);
  if (const std::string* hires = infotext.find("Hires prompt")) add_tags(needs, *hires);
  add_hashes(needs, infotext, "Lora hashes", "lora");
  add_hashes(needs, infotext, "TI hashes", "embedding");
  add_extension_hashes(needs, json_behind(text, ", Hashes: "));
  add_civitai_resources(needs, json_behind(text, ", Civitai resources: "));
  const std::string *model = infotext.find("Model"), *hash = infotext.find("Model hash");
  if (model != nullptr || hash != nullptr) {
    NeededFile& file = needs.add("checkpoint", model == nullptr ? "" : *model);
    if (hash != nullptr) file.hash = *hash;
  }
  return std::move(needs.list);
}

std::string infotext_of(const std::string& file_or_text) {
  std::error_code failure;
  // Long prompts are no file names, and asking the system for one is an error of its own.
  if (file_or_text.size() > 4096 || !fs::is_regular_file(file_or_text, failure)) return file_or_text;
  const std::string extension = prompt::lower(fs::path(file_or_text).extension().string());
  if (extension == ".txt") return read_file(file_or_text, 1 << 20);
  const auto text = image::load_parameters(file_or_text);
  if (!text)
    throw Error(kBadInput, "{}: holds no settings; only pictures saved with theirs do.", file_or_text);
  return *text;
}

}  // namespace lowrank::cli
