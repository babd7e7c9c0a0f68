// A record of the collection as routes tell it.
#pragma once

#include <string>
#include <string_view>

#include "library/library.h"
#include "library/lora_words.h"
#include "server/http/call.h"
#include "server/http/reply.h"
#include "server/json.h"
#include "server/services.h"

namespace lowrank::server {

// The LoRAs that fit the checkpoint which the options choose.
library::Fitting fitting_now(Services& services);
Json lora_card(const library::Record& record, const library::Fitting& fitting);
// URL of the preview, which changes with it; null when there is none.
Json lora_preview_url(const library::Record& record);
double modified_seconds(const library::Record& record);

// The LoRA that a route's {name} means. Throws Refusal 404.
library::Record named_lora(Services& services, const Call& call);

// A picture of the data folder. Throws Refusal 404 when it is not there.
Reply picture_reply(const std::filesystem::path& path);

// The filters, order and piece that a query string of lora_query() asks for. Throws Refusal 422.
library::Query lora_query_of(Services& services, const Json& query);

// Of a comma list of keys only those are kept; all when it is "".
bool is_field_kept(std::string_view key, const std::string& fields);
void keep_fields(Json& entry, const std::string& fields);

}  // namespace lowrank::server
