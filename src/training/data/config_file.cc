#include "training/data/config_file.h"

#include <toml++/toml.h>

#include <sstream>
#include <string>

#include "base/error.h"
#include "base/text/ascii.h"
#include "base/text/text_file.h"

namespace lowrank::training {
namespace {

using nlohmann::ordered_json;

ordered_json value_of(const toml::node& node) {
  if (const auto* table = node.as_table()) {
    ordered_json object = ordered_json::object();
    for (const auto& [key, value] : *table) object[std::string(key.str())] = value_of(value);
    return object;
  }
  if (const auto* array = node.as_array()) {
    ordered_json list = ordered_json::array();
    for (const auto& value : *array) list.push_back(value_of(value));
    return list;
  }
  if (const auto* text = node.as_string()) return text->get();
  if (const auto* whole = node.as_integer()) return whole->get();
  if (const auto* number = node.as_floating_point()) return number->get();
  if (const auto* truth = node.as_boolean()) return truth->get();
  std::ostringstream other;
  node.visit([&](const auto& value) {
    if constexpr (!toml::is_container<decltype(value)>) other << value.get();
  });
  return other.str();
}

}  // namespace

ordered_json read_config_file(const std::filesystem::path& file) {
  const std::string text = read_text_file(file, {.max_bytes = 4u << 20});
  if (lower_ascii(file.extension().string()) == ".json") {
    try {
      return ordered_json::parse(text);
    } catch (const ordered_json::parse_error& error) {
      throw Error(kBadInput, "{}: is no JSON from byte {} on.", file.string(), error.byte);
    }
  }
  try {
    return value_of(toml::parse(text, file.string()));
  } catch (const toml::parse_error& error) {
    const auto& place = error.source().begin;
    throw Error(kBadInput, "{}: line {}, column {}: {}.", file.string(), place.line, place.column,
                error.description());
  }
}

}  // namespace lowrank::training
