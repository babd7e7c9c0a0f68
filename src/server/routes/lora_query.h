// The query that a query string means, for the routes that list LoRAs.
#pragma once

#include "library/library.h"
#include "server/json.h"
#include "server/services.h"

namespace lowrank::server {

// The filters, order and piece that a query string of lora_query() asks for. Throws Refusal 422.
library::Query lora_query_of(Services& services, const Json& query);

}  // namespace lowrank::server
