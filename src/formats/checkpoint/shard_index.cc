#include "formats/checkpoint/shard_index.h"

#include <nlohmann/json.hpp>

#include "base/error.h"

namespace lowrank::formats {

std::map<std::string, std::vector<std::string>> read_shard_index(std::string_view text,
                                                                 const std::filesystem::path& path) {
  namespace fs = std::filesystem;
  const auto parsed = nlohmann::json::parse(text, nullptr, /*allow_exceptions=*/false);
  if (!parsed.is_object())
    throw Error(kBadInput, "{}: is not a JSON object; download it again.", path.string());
  const auto weight_map = parsed.find("weight_map");
  if (weight_map == parsed.end() || !weight_map->is_object())
    throw Error(kBadInput, "{}: has no weight_map; download it again.", path.string());
  std::map<std::string, std::vector<std::string>> shards;
  for (const auto& [key, value] : weight_map->items()) {
    const std::string name = value.is_string() ? value.get<std::string>() : "";
    if (name.empty() || fs::path(name).filename() != name || name == "." || name == "..") {
      throw Error(kBadInput,
                  "{}: the shard of '{}' is not the name of a file in the same folder; download it again.",
                  path.string(), key);
    }
    shards[name].push_back(key);
  }
  return shards;
}

}  // namespace lowrank::formats
