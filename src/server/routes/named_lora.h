// What the routes about LoRAs share: the LoRA that a path names, the query that a query string means, pictures.
#pragma once

#include <filesystem>

#include "library/fit_words.h"
#include "library/library.h"
#include "server/http/call.h"
#include "server/http/reply.h"
#include "server/json.h"
#include "server/services.h"

namespace lowrank::server {

// The LoRAs that fit the checkpoint which the options choose.
library::Fitting fitting_now(Services& services);

// The LoRA that a route's {name} means. Throws Refusal 404.
library::Record named_lora(Services& services, const Call& call);

// A subfamily as edits of cards take it; "" to detect it. Throws Refusal 422 naming those that there are.
std::string subfamily_in(const std::string& asked);

// A picture of the data folder. Throws Refusal 404 when it is not there.
Reply picture_reply(const std::filesystem::path& path);

}  // namespace lowrank::server
