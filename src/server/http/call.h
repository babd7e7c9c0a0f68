// One request as handlers see it, free of the HTTP library.
#pragma once

#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "server/json.h"

namespace lowrank::server {

struct FormPart {
  std::string name, file_name, content;
};

struct Call {
  std::string method;                                       // "GET"
  std::string path;                                         // percent-decoded, without query
  std::map<std::string, std::string, std::less<>> place;    // what stood in the route's {braces}
  std::map<std::string, std::string, std::less<>> query;    // the last value of a repeated name counts
  std::map<std::string, std::string, std::less<>> headers;  // names in lower case
  std::string client;                                       // address
  bool accepts_gzip = false;
  std::string body = {};
  std::vector<FormPart> form = {};
  std::function<bool()> is_client_gone = [] { return false; };

  std::string header(std::string_view name) const { return value_in(headers, name); }
  std::string argument(std::string_view name) const { return value_in(query, name); }
  const std::string& at(std::string_view name) const { return place.find(name)->second; }

 private:
  static std::string value_in(const std::map<std::string, std::string, std::less<>>& map,
                              std::string_view name) {
    const auto found = map.find(name);
    return found == map.end() ? std::string() : found->second;
  }
};

}  // namespace lowrank::server
