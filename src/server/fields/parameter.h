// What a request may hold: one row per field, from which it is checked and described (OpenAPI). Wrong types
// are mended as pydantic 1 mends them ("20" is 20, 1 is true), because A1111's clients rely on it.
#pragma once

#include <map>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "server/http/refusal.h"
#include "server/json.h"

namespace lowrank::server {

enum class ParameterType {
  kString,
  kInteger,
  kNumber,
  kBoolean,
  kStrings,
  kObject,
  kList,
  kPicture,
  kPictures
};

struct ParameterRow {
  std::string_view name;
  ParameterType type;
  std::string_view default_value = "null";  // JSON: the value when the field is absent or null
  std::string_view help = {};
  double min = -1e300, max = 1e300;  // of numbers, inclusive
  std::size_t max_length = 4096;     // of strings, in bytes; pictures are bounded by the body
  bool is_required = false;
  // The field without which this one does nothing: while that is absent, false or empty, a value that cannot be
  // used is passed over instead of refused.
  std::string_view needs = {};
  // LowRank's own: of A1111's clients anything may come under this name, which A1111 passes over
  bool is_own = false;
  std::string_view form = {};    // JSON: how a form shows it, where that differs (request/form_traits.h)
  std::string_view schema = {};  // of an object or a word: what it must be (type_text.h)
};
using ParameterRows = std::span<const ParameterRow>;

inline constexpr std::size_t kMaxPromptBytes = 256 * 1024;

// Every row's value, mended or the default, in the rows' order. Adds a fault for each value that is none of
// its type or out of range, or a sentence to `passed_over` where it does no harm. Fields without a row are ignored.
Json read_parameters(ParameterRows rows, const RequestJson& body, Faults& faults,
                     std::vector<std::string>* passed_over = nullptr);
// The same for a query string.
Json read_query(ParameterRows rows, const std::map<std::string, std::string, std::less<>>& query,
                Faults& faults);

// The body of a call as parameters: parses, checks, throws Refusal 422 naming each fault. An empty body
// counts as {} when nothing is required.
Json read_body(ParameterRows rows, std::string_view text);

// JSON Schema of the rows.
Json parameters_schema(ParameterRows rows);
Json parameter_schema(const ParameterRow& row);

}  // namespace lowrank::server
