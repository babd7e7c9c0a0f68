#include "library/import/url.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/loopback.h"
#include "base/text/ascii.h"
#include "base/text/percent.h"

namespace lowrank::library {

std::string Url::origin() const {
  return fmt::format("{}://{}{}{}", scheme, host, port.empty() ? "" : ":", port);
}

std::string Url::text() const {
  return origin() + path + (query.empty() ? "" : "?" + query);
}

std::string Url::shown() const {
  return origin() + path;
}

std::vector<std::string> Url::segments() const {
  std::vector<std::string> parts;
  std::string_view rest = path;
  while (!rest.empty()) {
    rest.remove_prefix(1);  // the slash
    const std::size_t end = std::min(rest.find('/'), rest.size());
    if (end > 0) parts.push_back(percent_decode(rest.substr(0, end)));
    rest.remove_prefix(end);
  }
  return parts;
}

std::string Url::parameter(std::string_view name) const {
  std::string_view rest = query;
  while (!rest.empty()) {
    const std::string_view item = rest.substr(0, rest.find('&'));
    const auto equals = item.find('=');
    if (item.substr(0, equals) == name && equals != std::string_view::npos)
      return percent_decode(item.substr(equals + 1));
    rest.remove_prefix(std::min(item.size() + 1, rest.size()));
  }
  return "";
}

bool Url::is_loopback() const {
  return lowrank::is_loopback(host);
}

std::optional<Url> parse_url(std::string_view text) {
  const auto colon = text.find("://");
  if (colon == std::string_view::npos) return std::nullopt;
  Url url{.scheme = lower_ascii(text.substr(0, colon)), .host = {}, .port = {}, .path = "/", .query = {}};
  if (url.scheme != "http" && url.scheme != "https") return std::nullopt;
  // Whatever could end a line of a request, or is no character of an address.
  if (std::ranges::any_of(
          text, [](char c) { return static_cast<unsigned char>(c) <= 0x20 || c == 0x7F || c == '\\'; }))
    return std::nullopt;
  text.remove_prefix(colon + 3);
  text = text.substr(0, text.find('#'));
  const std::size_t end = std::min(text.find_first_of("/?"), text.size());
  std::string_view authority = text.substr(0, end);
  text.remove_prefix(end);
  if (authority.empty() || authority.find('@') != std::string_view::npos) return std::nullopt;
  const auto bracket = authority.rfind(']');
  const auto port = authority.find(':', bracket == std::string_view::npos ? 0 : bracket);
  url.host = lower_ascii(authority.substr(0, port));
  if (port != std::string_view::npos) url.port = authority.substr(port + 1);
  if (url.host.empty() || !std::ranges::all_of(url.port, [](char c) { return c >= '0' && c <= '9'; }))
    return std::nullopt;
  if ((url.scheme == "http" && url.port == "80") || (url.scheme == "https" && url.port == "443"))
    url.port.clear();
  const auto question = text.find('?');
  if (const auto path = text.substr(0, question); !path.empty()) url.path = path;
  if (question != std::string_view::npos) url.query = text.substr(question + 1);
  return url;
}

std::optional<Url> resolve_location(const Url& base, std::string_view location) {
  if (location.find("://") != std::string_view::npos) return parse_url(location);
  if (location.starts_with("//")) return parse_url(fmt::format("{}:{}", base.scheme, location));
  if (location.starts_with("/")) return parse_url(base.origin() + std::string(location));
  if (location.empty() || location.find(':') < location.find('/')) return std::nullopt;  // another scheme
  return parse_url(base.origin() + base.path.substr(0, base.path.rfind('/') + 1) + std::string(location));
}

}  // namespace lowrank::library
