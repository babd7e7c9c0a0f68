#include "server/http/url.h"

namespace lowrank::server {
namespace {

int hex_value(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

}  // namespace

std::string percent_decode(std::string_view text, bool plus_is_blank) {
  std::string out;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '%' && i + 2 < text.size() && hex_value(text[i + 1]) >= 0 && hex_value(text[i + 2]) >= 0) {
      out += static_cast<char>(hex_value(text[i + 1]) * 16 + hex_value(text[i + 2]));
      i += 2;
    } else {
      out += text[i] == '+' && plus_is_blank ? ' ' : text[i];
    }
  }
  return out;
}

Target parse_target(std::string_view target) {
  const std::size_t mark = std::min(target.find('?'), target.size());
  Target result{.path = percent_decode(target.substr(0, mark), false), .query = {}};
  std::string_view rest = target.substr(std::min(mark + 1, target.size()));
  while (!rest.empty()) {
    const std::size_t end = std::min(rest.find('&'), rest.size());
    const std::string_view item = rest.substr(0, end);
    rest.remove_prefix(std::min(end + 1, rest.size()));
    if (item.empty()) continue;
    const std::size_t equals = std::min(item.find('='), item.size());
    result.query[percent_decode(item.substr(0, equals), true)] =
        percent_decode(item.substr(std::min(equals + 1, item.size())), true);
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
    std::string_view name = pattern.substr(1, close - 1);
    pattern.remove_prefix(close + 1);
    const bool takes_rest = name.starts_with('*');
    if (takes_rest) name.remove_prefix(1);
    const std::size_t end = takes_rest ? path.size() : std::min(path.find('/'), path.size());
    if (end == 0) return std::nullopt;
    found[std::string(name)] = path.substr(0, end);
    path.remove_prefix(end);
  }
  if (!path.empty()) return std::nullopt;
  return found;
}

}  // namespace lowrank::server
