#include "server/http/access.h"

#include <openssl/crypto.h>

#include <algorithm>

#include "base/error.h"
#include "base/sha256.h"
#include "base/text/base64.h"

namespace lowrank::server {
namespace {

std::vector<std::string> split_list(std::string_view text) {
  std::vector<std::string> items;
  while (!text.empty()) {
    const std::size_t comma = std::min(text.find(','), text.size());
    std::string_view item = text.substr(0, comma);
    text.remove_prefix(std::min(comma + 1, text.size()));
    while (item.starts_with(' ')) item.remove_prefix(1);
    while (item.ends_with(' ') || item.ends_with('\n') || item.ends_with('\r')) item.remove_suffix(1);
    if (!item.empty()) items.emplace_back(item);
  }
  return items;
}

char lower(char c) {
  return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c;
}

}  // namespace

std::vector<Login> parse_logins(std::string_view text, std::string_view option) {
  std::vector<Login> logins;
  for (const std::string& item : split_list(text)) {
    const std::size_t colon = item.find(':');
    if (colon == std::string::npos || colon == 0 || colon + 1 == item.size())
      throw Error(kBadInput, "{} must be user:password; separate several with commas.", option);
    logins.push_back({.user = item.substr(0, colon), .password = item.substr(colon + 1)});
  }
  return logins;
}

bool equal_in_constant_time(std::string_view a, std::string_view b) {
  // Digests have equal lengths whatever was sent.
  const std::string da = sha256_hex(std::as_bytes(std::span(a.data(), a.size())));
  const std::string db = sha256_hex(std::as_bytes(std::span(b.data(), b.size())));
  return CRYPTO_memcmp(da.data(), db.data(), da.size()) == 0;
}

bool is_authorized(std::string_view header, const std::vector<Login>& logins) {
  constexpr std::string_view kScheme = "basic ";
  if (header.size() < kScheme.size()) return false;
  for (std::size_t i = 0; i < kScheme.size(); ++i)
    if (lower(header[i]) != kScheme[i]) return false;
  const auto decoded = from_base64(header.substr(kScheme.size()));
  if (!decoded) return false;
  const std::string text(decoded->begin(), decoded->end());
  const std::size_t colon = std::min(text.find(':'), text.size());
  const std::string_view user = std::string_view(text).substr(0, colon);
  const std::string_view password = std::string_view(text).substr(std::min(colon + 1, text.size()));
  bool found = false;
  for (const Login& login : logins) {
    const bool same_user = equal_in_constant_time(user, login.user);
    const bool same_password = equal_in_constant_time(password, login.password);
    found = found | (same_user & same_password);
  }
  return found;
}

std::string host_name(std::string_view host) {
  if (const auto scheme = host.find("://"); scheme != std::string_view::npos) host.remove_prefix(scheme + 3);
  if (host.starts_with('[')) {
    host = host.substr(1, host.find(']') == std::string_view::npos ? 0 : host.find(']') - 1);
  } else if (const auto colon = host.find(':'); colon == host.rfind(':')) {
    host = host.substr(0, colon);  // several colons: an IPv6 address without brackets and port
  }
  std::string name(host);
  std::ranges::transform(name, name.begin(), lower);
  if (name.ends_with('.')) name.pop_back();
  return name;
}

bool is_same_origin(std::string_view origin, std::string_view host) {
  const auto scheme = origin.find("://");
  if (scheme == std::string_view::npos) return false;
  const std::string_view rest = origin.substr(scheme + 3);
  return !rest.empty() && std::ranges::equal(rest, host, {}, lower, lower);
}

CrossOrigin::CrossOrigin(std::string_view origins, const std::string& expression)
    : origins_(split_list(origins)), has_expression_(!expression.empty()) {
  any_ = std::ranges::find(origins_, "*") != origins_.end();
  try {
    if (has_expression_) expression_ = std::regex(expression, std::regex::ECMAScript | std::regex::optimize);
  } catch (const std::regex_error&) {
    throw Error(kBadInput, "--cors-allow-origins-regex is not a valid regular expression: '{}'.", expression);
  }
}

bool CrossOrigin::allows(const std::string& origin) const {
  if (origin.empty() || origin.size() > 256) return false;
  if (any_ || std::ranges::find(origins_, origin) != origins_.end()) return true;
  return has_expression_ && std::regex_match(origin, expression_);
}

}  // namespace lowrank::server
