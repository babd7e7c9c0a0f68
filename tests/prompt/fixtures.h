// Reading the reference cases below tests/fixtures.
#pragma once

#include <fstream>
#include <nlohmann/json.hpp>
#include <string>

namespace lowrank::prompt {

inline nlohmann::json read_fixture(const std::string& name) {
  std::ifstream file(std::string(LOWRANK_TEST_FIXTURES) + "/" + name);
  return nlohmann::json::parse(file);
}

}  // namespace lowrank::prompt
