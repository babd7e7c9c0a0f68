// The parts of a web address, as far as imports need them.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace lowrank::library {

struct Url {
  std::string scheme;  // lower case
  std::string host;    // lower case, without user and port
  std::string port;    // "" the scheme's own
  std::string path;    // with its leading slash, as written
  std::string query;   // without the question mark

  // Scheme, host and port: who is spoken to.
  std::string origin() const;
  std::string text() const;
  // Without the query, which may hold secrets: for messages.
  std::string shown() const;
  std::vector<std::string> segments() const;           // of the path, decoded
  std::string parameter(std::string_view name) const;  // of the query, decoded; "" absent
  bool is_loopback() const;
};

// http and https only; no user names. nullopt: it is no such address.
std::optional<Url> parse_url(std::string_view text);

// Where a Location header leads. nullopt: nowhere that may be followed.
std::optional<Url> resolve_location(const Url& base, std::string_view location);

}  // namespace lowrank::library
