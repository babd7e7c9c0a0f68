// GCC 12 warns about std::regex's own headers when sanitizers are on (GCC bug 105562).
#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#endif

#include "formats/peft_config.h"

#include <array>
#include <cmath>
#include <nlohmann/json.hpp>

#include "base/atomic_file.h"
#include "base/error.h"

namespace lowrank::formats {
namespace {

using nlohmann::json;

constexpr std::size_t kMaxPatterns = 1'000;
constexpr std::size_t kMaxPatternBytes = 512;

json parse_object(const std::string& text, const std::string& label) {
  json parsed = json::parse(text, nullptr, /*allow_exceptions=*/false);
  if (!parsed.is_object())
    throw Error(kBadInput, "{}: is not a JSON object; correct it or remove it.", label);
  return parsed;
}

// A field that may be missing or null.
const json* field(const json& object, const std::string& name) {
  const auto place = object.find(name);
  return place == object.end() || place->is_null() ? nullptr : &*place;
}

bool flag(const json& object, const std::string& name) {
  const json* value = field(object, name);
  return value != nullptr && value->is_boolean() && value->get<bool>();
}

// A hostile pattern must not take exponential time: libstdc++ has an executor without backtracking.
#ifdef __GLIBCXX__
constexpr auto kRegexFlags = std::regex::ECMAScript | std::regex_constants::__polynomial;
#else
constexpr auto kRegexFlags = std::regex::ECMAScript;
#endif

std::optional<std::regex> as_expression(const std::string& pattern, const std::string& label) {
  if (pattern.find_first_of("\\[(*+?|^$") == std::string::npos) return std::nullopt;
  try {
    return std::regex("(.*\\.)?(" + pattern + ")", kRegexFlags);
  } catch (const std::regex_error&) {
    throw Error(kBadInput, "{}: alpha_pattern '{}' is no regular expression; correct it.", label, pattern);
  }
}

bool matches(const std::string& pattern, const std::optional<std::regex>& expression, std::string_view path) {
  if (path == pattern) return true;
  if (path.size() > pattern.size() && path.ends_with(pattern) &&
      path[path.size() - pattern.size() - 1] == '.')
    return true;
  return expression && std::regex_match(path.begin(), path.end(), *expression);
}

}  // namespace

PeftConfig PeftConfig::beside(const weights::TensorFile& file) {
  PeftConfig config;
  const auto read = [&](const json& object, const std::string& prefix, Component component,
                        const std::string& label) {
    Settings settings;
    if (const json* alpha = field(object, prefix + "lora_alpha")) {
      if (!alpha->is_number())
        throw Error(kBadInput, "{}: {}lora_alpha is not a number; correct it.", label, prefix);
      settings.alpha = alpha->get<double>();
    }
    if (const json* patterns = field(object, prefix + "alpha_pattern");
        patterns != nullptr && patterns->is_object()) {
      for (const auto& [pattern, value] : patterns->items()) {
        if (!value.is_number() || pattern.size() > kMaxPatternBytes ||
            settings.alpha_patterns.size() >= kMaxPatterns)
          throw Error(kBadInput, "{}: {}alpha_pattern must map names to numbers; correct it.", label, prefix);
        settings.alpha_patterns.push_back({pattern, as_expression(pattern, label), value.get<double>()});
      }
    }
    settings.is_rank_stabilised = flag(object, prefix + "use_rslora");
    if (flag(object, prefix + "fan_in_fan_out"))
      throw Error(kUnsupported, "{}: fan_in_fan_out is set; transposed weights are not supported.", label);
    config.settings_[component] = std::move(settings);
  };

  const auto stored = file.metadata().find("lora_adapter_metadata");
  if (stored != file.metadata().end()) {
    const std::string label = file.path().string() + ": metadata lora_adapter_metadata";
    const json object = parse_object(stored->second, label);
    read(object, "unet.", Component::kUnet, label);
    read(object, "text_encoder.", Component::kTextEncoder, label);
    return config;
  }
  const auto beside = file.path().parent_path() / "adapter_config.json";
  if (file.path().stem() == "adapter_model" && std::filesystem::exists(beside)) {
    const json object = parse_object(read_file(beside, 4u << 20), beside.string());
    read(object, "", Component::kUnet, beside.string());
    read(object, "", Component::kTextEncoder, beside.string());
  }
  return config;
}

std::optional<float> PeftConfig::alpha(Component component, std::string_view path, std::int64_t rank) const {
  const auto place = settings_.find(component);
  if (place == settings_.end()) return std::nullopt;
  const Settings& settings = place->second;
  std::optional<double> alpha = settings.alpha;
  for (const Pattern& pattern : settings.alpha_patterns) {
    if (!matches(pattern.text, pattern.expression, path)) continue;
    alpha = pattern.alpha;
    break;
  }
  if (!alpha) return std::nullopt;
  return static_cast<float>(settings.is_rank_stabilised ? *alpha * std::sqrt(static_cast<double>(rank))
                                                        : *alpha);
}

}  // namespace lowrank::formats
