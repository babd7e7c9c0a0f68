// Request targets (RFC 3986): "/a%20b?x=1&y" → path and query.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <string_view>

namespace lowrank::server {

struct Target {
  std::string path;
  std::map<std::string, std::string, std::less<>> query;
};
Target parse_target(std::string_view target);

// The values of the braces in `pattern` when `path` fits it: {name} is one segment that is not empty, {*name}
// all that follows.
std::optional<std::map<std::string, std::string, std::less<>>> match_path(std::string_view pattern,
                                                                          std::string_view path);

}  // namespace lowrank::server
