#include "server/http/url.h"

#include <algorithm>
#include <utility>

#include "base/text/percent.h"

namespace lowrank::server {
namespace {

// What stands before the first `at`, and what stands behind it.
std::pair<std::string_view, std::string_view> cut(std::string_view text, char at) {
  for (std::size_t i = 0; i < text.size(); ++i)
    if (text[i] == at) return {text.substr(0, i), text.substr(i + 1)};
  return {text, {}};
}

// Note [slashes in names]: an encoded slash is part of a name and separates nothing. It stays encoded in the path until
// match_path has found the segments.
std::string decode_path(std::string_view path) {
  std::string out;
  while (!path.empty()) {
    std::size_t end = std::min(path.find("%2F"), path.find("%2f"));
    end = std::min(end, path.size());
    out += percent_decode(path.substr(0, end), false);
    path.remove_prefix(end);
    if (path.empty()) break;
    out += "%2F";
    path.remove_prefix(3);
  }
  return out;
}

std::string with_slashes(std::string_view segment) {
  std::string out(segment);
  for (std::size_t at = 0; (at = out.find("%2F", at)) != std::string::npos; ++at) out.replace(at, 3, "/");
  return out;
}

}  // namespace

Target parse_target(std::string_view target) {
  auto [path, rest] = cut(target, '?');
  Target result{.path = decode_path(path), .query = {}};
  while (!rest.empty()) {
    const auto [item, behind] = cut(rest, '&');
    rest = behind;
    if (item.empty()) continue;
    const auto [name, value] = cut(item, '=');
    result.query[percent_decode(name, true)] = percent_decode(value, true);
  }
  return result;
}

std::optional<std::map<std::string, std::string, std::less<>>> match_path(std::string_view pattern,
                                                                          std::string_view path) {
  std::map<std::string, std::string, std::less<>> found;
  while (!pattern.empty()) {
    if (pattern.front() != '{') {
      if (path.empty() || path.front() != pattern.front()) return std::nullopt;
      pattern.remove_prefix(1);
      path.remove_prefix(1);
      continue;
    }
    const std::size_t close = pattern.find('}');
    if (close == std::string_view::npos || close == 0) return std::nullopt;
    std::string_view name = pattern.substr(1, close - 1);
    pattern.remove_prefix(close + 1);
    const bool takes_rest = name.starts_with('*');
    if (takes_rest) name.remove_prefix(1);
    const std::size_t end = takes_rest ? path.size() : std::min(path.find('/'), path.size());
    if (end == 0) return std::nullopt;
    found[std::string(name)] = with_slashes(path.substr(0, end));
    path.remove_prefix(end);
  }
  if (!path.empty()) return std::nullopt;
  return found;
}

}  // namespace lowrank::server
