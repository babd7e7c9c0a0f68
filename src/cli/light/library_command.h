// What the commands of the collection share: the index of the data folder that a command line names, its
// filters, and how a LoRA is shown.
#pragma once

#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

#include "cli/invocation.h"
#include "library/library.h"

namespace lowrank::cli {

// The library of --data-dir, up to date. Problems of the scan go to standard error.
library::Library open_library(const Invocation& invocation);

// The filters of the command line (options kFilters of the command table). Throws Error(kBadInput).
library::Query query_of(const Invocation& invocation, const library::Library& library);

// A checkpoint by name or file; "" or "default": the one taken without being told. Throws Error(kNotFound).
std::filesystem::path find_model(const library::DataDir& data, const std::string& name);

// "style", "style?" for a guess, "" when nothing tells.
std::string type_text(const library::Record& record);
std::string stars(std::int64_t rating);       // "★★★", ""
std::string date_text(std::int64_t seconds);  // "2026-11-25", local time

// A subfamily as edits take it: "" for "auto". Throws Error(kBadInput) naming those that there are.
std::string asked_subfamily(const std::string& asked);
// "Pony (its page says 'Pony')", with what contradicts it; "" where nothing is known.
std::string subfamily_words(const library::Record& record);

nlohmann::ordered_json record_json(const library::Library& library, const library::Record& record);

// A size as people write it: "200MB", "1.5 GB", "4096". Throws Error(kBadInput) naming `label`.
std::int64_t bytes_of(const std::string& text, std::string_view label);

}  // namespace lowrank::cli
