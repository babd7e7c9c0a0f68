#include "server/requests/always_on_scripts.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "base/text/text.h"
#include "server/http/refusal.h"

namespace lowrank::server {
namespace {

// Scripts that clients send with every request. `has_work` says whether arguments ask them to do something.
bool is_switched_off(const RequestJson& arguments) {
  if (arguments.empty()) return true;
  const RequestJson& first = arguments.front();
  if (first.is_boolean()) return !first.get<bool>();
  return std::ranges::all_of(arguments, [](const RequestJson& unit) {
    if (unit.is_null() || unit == false) return true;
    if (!unit.is_object()) return false;
    const auto enabled = unit.find("enabled");
    return enabled != unit.end() && *enabled == false;
  });
}

// Passed over when they are switched off (LoRA Block Weight and Comments also otherwise: the prompt language
// has them).
constexpr std::array<std::string_view, 14> kHarmless = {"controlnet",
                                                        "adetailer",
                                                        "extra options",
                                                        "hypertile",
                                                        "refiner",
                                                        "seed",
                                                        "sampler",
                                                        "comments",
                                                        "dynamic prompts",
                                                        "tiled vae",
                                                        "never oom integrated",
                                                        "soft inpainting",
                                                        "roop",
                                                        "reactor"};
constexpr std::array<std::string_view, 6> kWithoutWork = {"extra options", "hypertile", "refiner",
                                                          "seed",          "sampler",   "comments"};

}  // namespace

void check_always_on_scripts(const RequestJson& body) {
  const auto always = body.find("alwayson_scripts");
  if (always == body.end() || !always->is_object()) return;
  for (const auto& [name, entry] : always->items()) {
    if (entry.is_null()) continue;
    const std::string lower = lowrank::lower(name.substr(0, 200));
    const auto found = entry.is_object() ? entry.find("args") : entry.end();
    const RequestJson arguments =
        entry.is_object() && found != entry.end() && found->is_array() ? *found : RequestJson::array();
    if (lower == "lora block weight" || std::ranges::find(kWithoutWork, lower) != kWithoutWork.end())
      continue;
    if (std::ranges::find(kHarmless, lower) != kHarmless.end() && is_switched_off(arguments)) continue;
    throw Refusal(422, fmt::format("always on script {} not found", name.substr(0, 200)));
  }
}

}  // namespace lowrank::server
