#include "server/fields/parameter.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <functional>
#include <limits>
#include <optional>

#include "base/text/text.h"
#include "prompt/infotext.h"
#include "server/fields/type_text.h"
#include "server/http/json_body.h"

namespace lowrank::server {
namespace {

// A value of the wrong kind; what pydantic 1 says about it.
struct Fault {
  std::string message, type;
};

std::int64_t to_integer(const RequestJson& value) {
  const Fault fault{"value is not a valid integer", "type_error.integer"};
  if (value.is_boolean()) return value.get<bool>() ? 1 : 0;
  if (value.is_number_unsigned()) {
    if (value.get<std::uint64_t>() > static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max()))
      throw Fault{fmt::format("ensure this value is less than or equal to {}",
                              std::numeric_limits<std::int64_t>::max()),
                  "value_error.number.not_le"};
    return value.get<std::int64_t>();
  }
  if (value.is_number_integer()) return value.get<std::int64_t>();
  if (value.is_number_float()) {
    // pydantic cuts 7.5 to 7; we would rather say that it was not understood.
    const double number = value.get<double>();
    if (std::trunc(number) != number || std::abs(number) > 9.0e18) throw fault;
    return static_cast<std::int64_t>(number);
  }
  if (value.is_string()) {
    std::string_view text = trim(value.get_ref<const std::string&>());
    if (text.starts_with('+')) text.remove_prefix(1);
    std::int64_t number = 0;
    const auto [end, failure] = std::from_chars(text.data(), text.data() + text.size(), number);
    if (!text.empty() && failure == std::errc() && end == text.data() + text.size()) return number;
  }
  throw fault;
}

double to_number(const RequestJson& value) {
  std::optional<double> number;
  if (value.is_boolean()) number = value.get<bool>() ? 1 : 0;
  if (value.is_number()) number = value.get<double>();
  if (value.is_string()) number = parse_number(trim(value.get_ref<const std::string&>()));
  if (!number || !std::isfinite(*number)) throw Fault{"value is not a valid float", "type_error.float"};
  return *number;
}

bool to_boolean(const RequestJson& value) {
  if (value.is_boolean()) return value.get<bool>();
  if (value.is_number() && (value == 0 || value == 1)) return value == 1;
  if (value.is_string()) {
    const std::string word = lower(value.get_ref<const std::string&>());
    for (const char* yes : {"1", "true", "t", "yes", "y", "on"})
      if (word == yes) return true;
    for (const char* no : {"0", "false", "f", "no", "n", "off"})
      if (word == no) return false;
  }
  throw Fault{"value could not be parsed to a boolean", "type_error.bool"};
}

std::string to_string(const RequestJson& value, std::size_t max_length) {
  std::string text;
  if (value.is_string()) {
    text = value.get<std::string>();
  } else if (value.is_boolean()) {
    text = value.get<bool>() ? "True" : "False";
  } else if (value.is_number_float()) {
    text = prompt::number_text(value.get<double>());
  } else if (value.is_number()) {
    text = value.dump();
  } else {
    throw Fault{"str type expected", "type_error.str"};
  }
  if (text.size() > max_length)
    throw Fault{fmt::format("ensure this value has at most {} characters", max_length),
                "value_error.any_str.max_length"};
  if (text.find('\0') != std::string::npos)
    throw Fault{"the character U+0000 is not allowed", "value_error.str"};
  return text;
}

void check_range(double number, const ParameterRow& row) {
  if (number < row.min)
    throw Fault{fmt::format("ensure this value is greater than or equal to {}", row.min),
                "value_error.number.not_ge"};
  if (number > row.max)
    throw Fault{fmt::format("ensure this value is less than or equal to {}", row.max),
                "value_error.number.not_le"};
}

Json to_strings(const RequestJson& value, std::size_t max_length) {
  if (!value.is_array()) throw Fault{"value is not a valid list", "type_error.list"};
  Json list = Json::array();
  for (const auto& item : value) list.push_back(to_string(item, max_length));
  return list;
}

Json converted(const ParameterRow& row, const RequestJson& value) {
  switch (row.type) {
    case ParameterType::kString:
      return to_string(value, row.max_length);
    case ParameterType::kPicture:
      return to_string(value, std::numeric_limits<std::size_t>::max());
    case ParameterType::kInteger: {
      const std::int64_t number = to_integer(value);
      check_range(static_cast<double>(number), row);
      return number;
    }
    case ParameterType::kNumber: {
      const double number = to_number(value);
      check_range(number, row);
      return number;
    }
    case ParameterType::kBoolean:
      return to_boolean(value);
    case ParameterType::kStrings:
      return to_strings(value, row.max_length);
    case ParameterType::kPictures:
      return to_strings(value, std::numeric_limits<std::size_t>::max());
    case ParameterType::kObject:
      // What PHP makes of an empty object; pydantic 1's dict() takes both.
      if ((value.is_array() && value.empty()) || value == "") return Json::object();
      if (!value.is_object()) throw Fault{"value is not a valid dict", "type_error.dict"};
      return value;
    case ParameterType::kList:
      if (!value.is_array()) throw Fault{"value is not a valid list", "type_error.list"};
      return value;
  }
  return nullptr;
}

bool is_off(const Json& values, std::string_view name) {
  const auto found = values.find(std::string(name));
  return found == values.end() || found->is_null() || *found == false || *found == "";
}

Json read_rows(ParameterRows rows, const std::string& place, Faults& faults,
               std::vector<std::string>* passed_over,
               const std::function<const RequestJson*(std::string_view)>& find) {
  Json values = Json::object();
  std::vector<std::pair<const ParameterRow*, Fault>> unusable;
  for (const ParameterRow& row : rows) {
    Json& slot = values[std::string(row.name)] = Json::parse(row.default_value);
    const RequestJson* given = find(row.name);
    if (given == nullptr || given->is_null()) {
      if (row.is_required) faults.add(place, std::string(row.name), "field required", "value_error.missing");
      continue;
    }
    try {
      slot = converted(row, *given);
    } catch (const Fault& fault) {
      unusable.emplace_back(&row, fault);
    }
  }
  for (const auto& [row, fault] : unusable) {
    const bool needs_other = !row->needs.empty() && is_off(values, row->needs);
    if (passed_over != nullptr && (row->is_own || needs_other)) {
      passed_over->push_back(fmt::format("{}: {}; the field was ignored{}.", row->name, fault.message,
                                         needs_other ? fmt::format(", as there is no {}", row->needs) : ""));
    } else {
      faults.add(place, std::string(row->name), fault.message, fault.type);
    }
  }
  return values;
}

}  // namespace

Json read_parameters(ParameterRows rows, const RequestJson& body, Faults& faults,
                     std::vector<std::string>* passed_over) {
  if (!body.is_object()) {
    faults.add("body", "", "value is not a valid dict", "type_error.dict");
    return Json::object();
  }
  return read_rows(rows, "body", faults, passed_over, [&](std::string_view name) -> const RequestJson* {
    const auto found = body.find(name);
    return found == body.end() ? nullptr : &*found;
  });
}

Json read_query(ParameterRows rows, const std::map<std::string, std::string, std::less<>>& query,
                Faults& faults) {
  RequestJson value;
  return read_rows(rows, "query", faults, nullptr, [&](std::string_view name) -> const RequestJson* {
    const auto found = query.find(name);
    if (found == query.end()) return nullptr;
    value = found->second;
    return &value;
  });
}

Json read_body(ParameterRows rows, std::string_view text) {
  Faults faults;
  const bool needs_body = std::ranges::any_of(rows, &ParameterRow::is_required);
  const RequestJson body = text.empty() && !needs_body ? RequestJson::object() : parse_json(text);
  Json values = read_parameters(rows, body, faults);
  faults.throw_if_any();
  return values;
}

Json parameter_schema(const ParameterRow& row) {
  Json schema = Json::object();
  switch (row.type) {
    case ParameterType::kString:
      schema = {{"type", "string"}};
      if (row.max_length < (std::size_t{1} << 40)) schema["maxLength"] = row.max_length;
      break;
    case ParameterType::kPicture:
      schema = {{"type", "string"}, {"description", "base64 or a data URL of a PNG, JPEG or WebP file"}};
      break;
    case ParameterType::kInteger:
    case ParameterType::kNumber:
      schema = {{"type", row.type == ParameterType::kInteger ? "integer" : "number"}};
      if (row.min > -1e299) schema["minimum"] = row.min;
      if (row.max < 1e299) schema["maximum"] = row.max;
      break;
    case ParameterType::kBoolean:
      schema = {{"type", "boolean"}};
      break;
    case ParameterType::kStrings:
    case ParameterType::kPictures:
      schema = {{"type", "array"}, {"items", {{"type", "string"}}}};
      break;
    case ParameterType::kObject:
      schema = {{"type", "object"}};
      break;
    case ParameterType::kList:
      schema = {{"type", "array"}, {"items", Json::object()}};
      break;
  }
  if (!row.schema.empty()) schema = type_schema(row.schema);
  if (!row.help.empty()) schema["description"] = row.help;
  if (!row.form.empty()) schema["x-form"] = Json::parse(row.form);
  if (!row.is_required) {
    schema["nullable"] = true;
    const Json default_value = Json::parse(row.default_value);
    if (!default_value.is_null()) schema["default"] = default_value;
  }
  return schema;
}

Json parameters_schema(ParameterRows rows) {
  Json properties = Json::object(), required = Json::array();
  for (const ParameterRow& row : rows) {
    properties[std::string(row.name)] = parameter_schema(row);
    if (row.is_required) required.push_back(row.name);
  }
  Json schema = {{"type", "object"}, {"properties", properties}};
  if (!required.empty()) schema["required"] = required;
  return schema;
}

}  // namespace lowrank::server
