#include "formats/checkpoint/metadata_number.h"

#include "base/error.h"
#include "base/text/text.h"

namespace lowrank::formats {

std::optional<double> metadata_number(const Checkpoint& checkpoint, const std::string& key, double low,
                                      double high) {
  const auto it = checkpoint.metadata.find(key);
  if (it == checkpoint.metadata.end()) return std::nullopt;
  const auto value = parse_number(it->second);
  if (!value || !(*value >= low && *value <= high))
    throw Error(kBadInput, "{}: the metadata entry '{}' is '{}', but must be a number between {} and {}.",
                checkpoint.path.string(), key, it->second, low, high);
  return value;
}

}  // namespace lowrank::formats
