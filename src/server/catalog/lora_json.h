// A record of the collection as JSON.
#pragma once

#include <string>
#include <string_view>

#include "library/fit_words.h"
#include "library/library.h"
#include "server/json.h"

namespace lowrank::server {

// `others` stands on the index that the record is of.
Json lora_card(const library::Record& record, const library::Fitting& fitting,
               library::FittingCheckpoints& others);
// URL of the preview, which changes with it; null when there is none.
Json lora_preview_url(const library::Record& record);
double modified_seconds(const library::Record& record);

// Of a comma list of keys only those are kept; all when it is "".
bool is_field_kept(std::string_view key, const std::string& fields);
void keep_fields(Json& entry, const std::string& fields);

}  // namespace lowrank::server
