// A configuration file, TOML or JSON by its ending, as one tree of values.
#pragma once

#include <filesystem>
#include <nlohmann/json.hpp>

namespace lowrank::training {

// TOML's tables, arrays, texts, numbers and truth values; its dates are texts. Throws Error naming the file, and line and
// column where it cannot be read.
nlohmann::ordered_json read_config_file(const std::filesystem::path& file);

}  // namespace lowrank::training
