// The index beside a model in shards: which file holds which tensor, as diffusers 0.42.1 and transformers 5.24 write it.
#pragma once

#include <filesystem>
#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace lowrank::formats {

// The text of the index `path` → name of the shard → its keys, in the index's order. A shard lies beside the index. Throws
// Error(kBadInput) naming `path` for what is no index and for a shard that is not a plain file name.
std::map<std::string, std::vector<std::string>> read_shard_index(std::string_view text,
                                                                 const std::filesystem::path& path);

}  // namespace lowrank::formats
