// What Civitai's entry in an infotext names: the files of a picture, often by a number alone.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "prompt/infotext.h"

namespace lowrank::prompt {

// The name of a LoRA of which a text gives Civitai's version alone: `civitai-VERSION`. The collection finds it by that.
std::string civitai_name(std::int64_t version);
std::optional<std::int64_t> civitai_version_of(std::string_view name);  // nullopt: it is no such name

// The JSON that the entry `Civitai resources` holds and the tags do not: a LoRA of a version is a tag of its model's
// name, or else of civitai_name().
struct CivitaiResource {
  std::string kind;  // "lora", "checkpoint", "embedding"
  std::string name;
  std::string weight = "1";
  std::int64_t version = 0;
};
std::vector<CivitaiResource> civitai_resources(const Infotext& infotext);

}  // namespace lowrank::prompt
