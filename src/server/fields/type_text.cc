#include "server/fields/type_text.h"

#include <fmt/format.h>

#include <vector>

#include "base/text/text.h"

namespace lowrank::server {
namespace {

Json single_type(std::string_view type) {
  if (type.ends_with("[]"))
    return {{"type", "array"}, {"items", single_type(type.substr(0, type.size() - 2))}};
  if (type.ends_with("{}"))
    return {{"type", "object"}, {"additionalProperties", single_type(type.substr(0, type.size() - 2))}};
  if (type == "any") return Json::object();
  for (const std::string_view plain : {"string", "integer", "number", "boolean", "object"})
    if (type == plain) return {{"type", plain}};
  return {{"$ref", fmt::format("#/components/schemas/{}", type)}};
}

}  // namespace

Json type_schema(std::string_view type) {
  const bool is_nullable = type.ends_with('?');
  if (is_nullable) type.remove_suffix(1);
  Json words = Json::array(), types = Json::array();
  for (std::size_t at = 0; at <= type.size();) {
    const std::size_t end = std::min(type.find('|', at), type.size());
    const std::string_view part = type.substr(at, end - at);
    if (part.starts_with('\'')) {
      words.push_back(part.substr(1, part.size() - 2));
    } else {
      types.push_back(single_type(part));
    }
    at = end + 1;
  }
  if (!words.empty()) types.push_back({{"type", "string"}, {"enum", words}});
  Json schema = types.size() == 1 ? types[0] : Json{{"oneOf", types}};
  if (!is_nullable) return schema;
  // Beside a reference nothing counts.
  if (schema.contains("$ref")) schema = {{"allOf", Json::array({schema})}};
  schema["nullable"] = true;
  // Null must be among the words to be allowed.
  if (schema.contains("enum")) schema["enum"].push_back(nullptr);
  return schema;
}

}  // namespace lowrank::server
