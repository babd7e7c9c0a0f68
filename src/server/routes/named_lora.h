// What the routes about LoRAs share: the LoRA that a path names, the query that a query string means, pictures.
#pragma once

#include <filesystem>

#include "library/library.h"
#include "library/lora_words.h"
#include "server/http/call.h"
#include "server/http/reply.h"
#include "server/json.h"
#include "server/services.h"

namespace lowrank::server {

// The LoRAs that fit the checkpoint which the options choose.
library::Fitting fitting_now(Services& services);

// The LoRA that a route's {name} means. Throws Refusal 404.
library::Record named_lora(Services& services, const Call& call);

// A picture of the data folder. Throws Refusal 404 when it is not there.
Reply picture_reply(const std::filesystem::path& path);

}  // namespace lowrank::server
