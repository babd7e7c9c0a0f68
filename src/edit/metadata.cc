#include "edit/metadata.h"

#include <fmt/chrono.h>
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <chrono>
#include <ctime>
#include <nlohmann/json.hpp>
#include <vector>

#include "formats/family.h"

namespace lowrank::edit {
namespace {

using nlohmann::ordered_json;

// Text that somebody wrote: listed where parents differ.
constexpr std::string_view kListed[] = {"modelspec.trigger_phrase", "modelspec.author", "modelspec.license",
                                        "modelspec.tags"};

const Metadata& metadata_of(const Parentage& parent) {
  return parent.source->file.file->metadata();
}

std::string value_of(const Metadata& metadata, std::string_view key) {
  const auto found = metadata.find(std::string(key));
  return found == metadata.end() ? "" : found->second;
}

// {"10_fox": {"fox": 20}} of all parents, counts of one folder's word added up; "" where none has it or one is broken.
std::string tag_frequency(std::span<const Parentage> parents) {
  ordered_json sum = ordered_json::object();
  for (const Parentage& parent : parents) {
    const std::string text = value_of(metadata_of(parent), "ss_tag_frequency");
    if (text.empty()) continue;
    const auto own = ordered_json::parse(text, nullptr, /*allow_exceptions=*/false);
    if (!own.is_object()) return "";
    for (const auto& [folder, words] : own.items()) {
      if (!words.is_object()) return "";
      ordered_json& into = sum[folder];
      if (into.is_null()) into = ordered_json::object();
      for (const auto& [word, count] : words.items())
        if (count.is_number_integer())
          into[word] = into.value(word, std::int64_t{0}) + count.get<std::int64_t>();
    }
  }
  return sum.empty() ? "" : sum.dump();
}

std::string listed(std::span<const Parentage> parents, std::string_view key) {
  std::vector<std::string> values;
  for (const Parentage& parent : parents)
    if (const std::string value = value_of(metadata_of(parent), key);
        !value.empty() && std::ranges::find(values, value) == values.end())
      values.push_back(value);
  return fmt::format("{}", fmt::join(values, ", "));
}

ordered_json as_json(const Metadata& metadata) {
  ordered_json json = ordered_json::object();
  for (const auto& [key, value] : metadata) json[key] = value;
  return json;
}

}  // namespace

Metadata child_metadata(std::span<const Parentage> parents, const std::string& operation,
                        const std::string& title) {
  Metadata result = metadata_of(parents.front());
  for (const Parentage& parent : parents.subspan(1)) {
    const Metadata& other = metadata_of(parent);
    std::erase_if(result, [&](const auto& item) {
      const auto found = other.find(item.first);
      return found == other.end() || found->second != item.second;
    });
  }
  if (const std::string words = tag_frequency(parents); !words.empty()) result["ss_tag_frequency"] = words;
  for (const std::string_view key : kListed)
    if (std::string text = listed(parents, key); !text.empty()) result[std::string(key)] = std::move(text);

  ordered_json ancestry = ordered_json::array();
  std::vector<std::string> names;
  for (const Parentage& parent : parents) {
    const formats::LoraFile& file = parent.source->file;
    names.push_back(file.name);
    ordered_json one = {{"name", file.name}, {"hash", formats::lora_short_hash(*file.file)}};
    if (!parent.weight.empty()) one["weight"] = parent.weight;
    one["metadata"] = as_json(file.file->metadata());
    ancestry.push_back(std::move(one));
  }
  result["lowrank.operation"] = operation;
  result["lowrank.parents"] = ancestry.dump(-1, ' ', false, ordered_json::error_handler_t::replace);
  result["ss_output_name"] = title;
  result["modelspec.title"] = title;
  result["modelspec.sai_model_spec"] = "1.0.1";
  result["modelspec.date"] = fmt::format("{:%Y-%m-%dT%H:%M:%S}", fmt::gmtime(std::time(nullptr)));
  if (parents.size() > 1) result["modelspec.merged_from"] = fmt::format("{}", fmt::join(names, ", "));
  const formats::FamilyRow* family = formats::family(parents.front().source->file.base_model);
  if (family != nullptr && !result.contains("modelspec.architecture"))
    result["modelspec.architecture"] = fmt::format("{}/lora", family->modelspec.of(family->prediction));
  if (family != nullptr) result["ss_v2"] = family->is_kohya_v2 ? "True" : "False";
  if (parents.size() > 1) result.erase("modelspec.thumbnail");
  return result;
}

void set_network(Metadata& metadata, const NetworkFacts& facts) {
  metadata["ss_network_module"] = facts.module;
  metadata["ss_network_dim"] = facts.rank;
  metadata["ss_network_alpha"] = facts.alpha;
  // Of factors that are no more.
  for (const char* key : {"ss_network_args", "lora_adapter_metadata"}) metadata.erase(key);
}

}  // namespace lowrank::edit
