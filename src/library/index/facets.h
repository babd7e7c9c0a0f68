// How often each value occurs among the LoRAs, for choosing a filter.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "sqlite/database.h"

namespace lowrank::library {

struct ValueCount {
  std::string value;
  std::int64_t count = 0;
};

// Each list has the most frequent first, equal ones by name.
struct Facets {
  std::int64_t total = 0;
  std::vector<ValueCount> types;        // "" those without a type
  std::vector<ValueCount> base_models;  // as base_text() shows them
  std::vector<ValueCount> subfamilies;  // "" those without one
  std::vector<ValueCount> tags;         // in lower case: the makers' tags and those of the training captions
  std::vector<ValueCount> folders;      // "people/men", with all below it; by name. "" those in no folder
};

Facets count_facets(const sqlite::Database& database, std::size_t max_tags);

}  // namespace lowrank::library
