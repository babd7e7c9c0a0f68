// A record of the collection as routes tell it.
#pragma once

#include <map>
#include <string>

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
// A1111's order of keys, JSON inside strings unfolded, the pictures left out.
Json a1111_metadata(const std::map<std::string, std::string>& metadata);
double modified_seconds(const library::Record& record);

// The LoRA that a route's {name} means. Throws Refusal 404.
library::Record named_lora(Services& services, const Call& call);

// A picture of the data folder. Throws Refusal 404 when it is not there.
Reply picture_reply(const std::filesystem::path& path);

// The filters, order and piece that a query string of lora_query() asks for. Throws Refusal 422.
library::Query lora_query_of(Services& services, const Json& query);

// Keeps only the keys of a comma list; all when it is "".
void keep_fields(Json& entry, const std::string& fields);

}  // namespace lowrank::server
