// Types of answers and parameters as short texts, and as JSON Schema (OpenAPI 3.0.3):
//
//   string, integer, number, boolean, object, any      as they are
//   'queued'|'running'                                  one of these words
//   Job                                                 a schema of answer_schemas() or request_schemas()
//   Job[]   integer{}                                   a list; an object with such values under any names
//   Job|Style                                           one of several
//   string?                                             may be null; the last sign of the text
#pragma once

#include <string_view>

#include "server/json.h"

namespace lowrank::server {

Json type_schema(std::string_view type);

}  // namespace lowrank::server
