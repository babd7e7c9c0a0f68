#include "cli/arguments.h"

#include <nlohmann/json.hpp>

#include "base/text/text.h"

namespace lowrank::cli {

std::string Arguments::value(std::string_view flag) const {
  if (const auto given = options.find(flag); given != options.end()) return given->second.back();
  const auto found = defaults.find(flag);
  return found == defaults.end() ? "" : found->second;
}

std::vector<std::string> Arguments::values(std::string_view flag) const {
  const auto given = options.find(flag);
  return given == options.end() ? std::vector<std::string>() : given->second;
}

int Arguments::whole_number(std::string_view flag) const {
  return parse_integer(value(flag)).value_or(0);
}

double Arguments::number(std::string_view flag) const {
  return parse_number(value(flag)).value_or(0);
}

std::string write_call(std::string_view command, const Arguments& arguments) {
  const nlohmann::json call = {{"command", command},
                               {"options", arguments.options},
                               {"defaults", arguments.defaults},
                               {"places", arguments.positionals}};
  // Names of files may hold any byte.
  return call.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

CommandText read_call(std::string_view text) {
  const auto call = nlohmann::json::parse(text);
  CommandText read{.command = call.at("command").get<std::string>(), .arguments = {}};
  for (const auto& [flag, values] : call.at("options").items())
    read.arguments.options[flag] = values.get<std::vector<std::string>>();
  for (const auto& [flag, value] : call.at("defaults").items())
    read.arguments.defaults[flag] = value.get<std::string>();
  read.arguments.positionals = call.at("places").get<std::vector<std::string>>();
  return read;
}

}  // namespace lowrank::cli
