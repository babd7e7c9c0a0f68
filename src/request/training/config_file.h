// Options of a training from a TOML file, as kohya's --config_file takes them: each key is an option's name, with
// underscores or hyphens; tables only group keys and their names mean nothing.
#pragma once

#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "request/training/lora_table.h"

namespace lowrank::request {

struct ConfigSetting {
  const LoraOption* row;
  std::string text;  // as set_option takes it
  std::string name;  // for messages: "run.toml:12: network_dim"
};

struct ConfigFile {
  std::vector<ConfigSetting> settings;  // in the order of the file
  // Keys of kohya's trainer that change nothing here, a sentence each.
  std::vector<std::string> notes;
  // Keys that are no options: "run.toml:3", "network_dimm".
  struct Unknown {
    std::string place, key;
  };
  std::vector<Unknown> unknown;
};

// Throws Error(kBadInput) naming file and line: what is not TOML, a value of another kind, a key that stands twice. As kohya's
// trainer does, the ending .toml may be left out.
ConfigFile read_config_file(const std::filesystem::path& file);

// The same of a text that `label` names.
ConfigFile parse_config(std::string_view text, const std::string& label);

}  // namespace lowrank::request
