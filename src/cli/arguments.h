// What a command was given on its command line. The light side parses the words once and checks them against the
// command table; the engine is sent this as data and reads values from it.
#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace lowrank::cli {

struct Arguments {
  // By flag without dashes, in the order in which they were written; a switch holds {"true"}.
  std::map<std::string, std::vector<std::string>, std::less<>> options;
  // Of the command's options that were not given: the command table's default, where it has one.
  std::map<std::string, std::string, std::less<>> defaults;
  std::vector<std::string> positionals;  // what stands between the options

  bool has(std::string_view flag) const { return options.find(flag) != options.end(); }
  // The last one given, else the default, else "".
  std::string value(std::string_view flag) const;
  // All that were given.
  std::vector<std::string> values(std::string_view flag) const;
  // value() as a number; 0 without one. Type and range were checked when the words were parsed.
  int whole_number(std::string_view flag) const;
  double number(std::string_view flag) const;
};

// The text that is handed to the engine: see engine_interface.h.
std::string write_call(std::string_view command, const Arguments& arguments);

struct CommandText {
  std::string command;
  Arguments arguments;
};
// Throws nlohmann::json's exceptions for what write_call() did not write.
CommandText read_call(std::string_view text);

}  // namespace lowrank::cli
