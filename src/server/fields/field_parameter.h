// Fields of a request (request/field_table.h) as parameters of the API and as options: type, default, range and help
// stand in that table alone. What A1111's API has otherwise (another default, null for "as the options say") is said
// where the parameter is listed.
#pragma once

#include <string_view>

#include "request/form_traits.h"
#include "server/fields/parameter.h"

namespace lowrank::server {

// The field that A1111 calls `api`; it must exist.
ParameterRow field_parameter(std::string_view api);
ParameterRow extras_parameter(std::string_view api);

// A text that lives as long as the program, for rows, which hold views.
std::string_view kept(std::string text);
// What differs in a form, and `standard` as what a new one has.
Json form_json(const request::FormTraits& form, const Json& default_value);

// The same with another default, as JSON.
ParameterRow with_default(ParameterRow row, std::string_view default_value);
// Null without it: the option of that name, or what `help` says, counts.
ParameterRow optional(ParameterRow row, std::string_view help = {});
// Does nothing without the field `needs`.
ParameterRow needing(std::string_view needs, ParameterRow row);

}  // namespace lowrank::server
