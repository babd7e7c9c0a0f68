#include "server/http/url.h"

#include <algorithm>
#include <utility>

namespace lowrank::server {
namespace {

int hex_value(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

// What stands before the first `at`, and what stands behind it.
std::pair<std::string_view, std::string_view> cut(std::string_view text, char at) {
  for (std::size_t i = 0; i < text.size(); ++i)
    if (text[i] == at) return {text.substr(0, i), text.substr(i + 1)};
  return {text, {}};
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

namespace {

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

std::string percent_encode(std::string_view text, std::string_view keep) {
  static constexpr std::string_view kHex = "0123456789ABCDEF";
  std::string out;
  for (const char c : text) {
    const bool is_safe = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                         c == '-' || c == '_' || c == '.' || keep.find(c) != std::string_view::npos;
    if (is_safe) {
      out += c;
    } else {
      const auto byte = static_cast<unsigned char>(c);
      out += {'%', kHex[byte >> 4], kHex[byte & 15]};
    }
  }
  return out;
}

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
