// Fields of JSON answers of which nothing is certain: absent, null and of another type are the same.
#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

namespace lowrank::library {

inline const nlohmann::json& field(const nlohmann::json& object, const char* key) {
  static const nlohmann::json kNone;
  if (!object.is_object()) return kNone;
  const auto found = object.find(key);
  return found == object.end() ? kNone : *found;
}

inline std::string text_field(const nlohmann::json& object, const char* key) {
  const auto& value = field(object, key);
  return value.is_string() ? value.get<std::string>() : "";
}

inline std::int64_t integer_field(const nlohmann::json& object, const char* key) {
  const auto& value = field(object, key);
  return value.is_number_integer() ? value.get<std::int64_t>() : 0;
}

inline double number_field(const nlohmann::json& object, const char* key) {
  const auto& value = field(object, key);
  return value.is_number() ? value.get<double>() : 0;
}

inline std::vector<std::string> texts_field(const nlohmann::json& object, const char* key) {
  std::vector<std::string> texts;
  const auto& list = field(object, key);
  if (list.is_array())
    for (const auto& item : list)
      if (item.is_string()) texts.push_back(item.get<std::string>());
  return texts;
}

}  // namespace lowrank::library
