#include "prompt/generators/draft.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/text/text.h"
#include "prompt/grammar/extra_networks.h"
#include "prompt/infotext_values.h"

namespace lowrank::prompt {
namespace {

struct SamplerName {
  std::string_view other;    // in small letters, without what the code below takes off
  std::string_view sampler;  // A1111's
};

// Names of ComfyUI (and SwarmUI, Fooocus), diffusers (InvokeAI), Easy Diffusion, NovelAI and Draw Things.
constexpr SamplerName kSamplerNames[] = {
    {"euler", "Euler"},
    {"euler_ancestral", "Euler a"},
    {"euler_a", "Euler a"},
    {"euler ancestral", "Euler a"},
    {"euler a", "Euler a"},
    {"heun", "Heun"},
    {"dpm_2", "DPM2"},
    {"dpm2", "DPM2"},
    {"kdpm_2", "DPM2"},
    {"dpm_2_ancestral", "DPM2 a"},
    {"dpm2_a", "DPM2 a"},
    {"kdpm_2_a", "DPM2 a"},
    {"lms", "LMS"},
    {"plms", "PLMS"},
    {"pndm", "PLMS"},
    {"dpm_fast", "DPM fast"},
    {"dpm_adaptive", "DPM adaptive"},
    {"dpmpp_2s_ancestral", "DPM++ 2S a"},
    {"dpmpp_2s_a", "DPM++ 2S a"},
    {"dpmpp_2s", "DPM++ 2S a"},
    {"dpmpp_sde", "DPM++ SDE"},
    {"dpm++ sde", "DPM++ SDE"},
    {"dpmpp_2m", "DPM++ 2M"},
    {"dpm++ 2m", "DPM++ 2M"},
    {"dpmpp_2m_sde", "DPM++ 2M SDE"},
    {"dpmpp_2m_sde_heun", "DPM++ 2M SDE Heun"},
    {"dpmpp_3m_sde", "DPM++ 3M SDE"},
    {"ddim", "DDIM"},
    {"uni_pc", "UniPC"},
    {"unipc", "UniPC"},
    {"lcm", "LCM"},
    {"restart", "Restart"},
};

// Schedules' names, as A1111 has them on its labels.
constexpr SamplerName kScheduleNames[] = {
    {"normal", "Normal"},
    {"karras", "Karras"},
    {"exponential", "Exponential"},
    {"sgm_uniform", "SGM Uniform"},
    {"simple", "Simple"},
    {"ddim_uniform", "DDIM"},
    {"beta", "Beta"},
    {"kl_optimal", "KL Optimal"},
    {"align_your_steps", "Align Your Steps"},
    {"turbo", "Turbo"},
    {"automatic", "Automatic"},
    {"default", "Automatic"},
};

template <std::size_t N>
std::string_view known(const SamplerName (&names)[N], std::string_view name) {
  const auto row = std::ranges::find(names, name, &SamplerName::other);
  if (row != std::end(names)) return row->sampler;
  // A1111's own name in any case.
  const auto same =
      std::ranges::find_if(names, [&](const SamplerName& n) { return lower(n.sampler) == name; });
  return same == std::end(names) ? std::string_view() : same->sampler;
}

bool cut_end(std::string& name, std::string_view end) {
  if (name.size() <= end.size() || !name.ends_with(end)) return false;
  name.resize(name.size() - end.size());
  return true;
}

bool is_hash(std::string_view text) {
  return text.size() >= 8 && text.size() <= 64 &&
         text.find_first_not_of("0123456789abcdefABCDEF") == std::string_view::npos;
}

}  // namespace

std::string text_field(const Json& object, std::string_view key) {
  if (!object.is_object()) return "";
  const auto found = object.find(key);
  if (found == object.end()) return "";
  if (found->is_string()) return found->get<std::string>();
  return found->is_number() ? found->dump() : "";
}

Json json_object(std::string_view text) {
  text = trim(text);
  while (text.ends_with('\0')) text.remove_suffix(1);
  if (!text.starts_with('{')) return {};
  Json json = Json::parse(text, nullptr, /*allow_exceptions=*/false);
  return json.is_object() ? json : Json();
}

std::string model_stem(std::string_view path) {
  const std::size_t slash = path.find_last_of("/\\");
  if (slash != std::string_view::npos) path.remove_prefix(slash + 1);
  for (const std::string_view ending : {".safetensors", ".ckpt", ".pt", ".pth", ".bin", ".sft", ".gguf"})
    if (path.size() > ending.size() && lower(path).ends_with(ending)) path.remove_suffix(ending.size());
  return std::string(trim(path));
}

Draft::Draft(std::string_view generator) {
  settings_.generator = generator;
}

void Draft::entry(std::string_view label, const std::string& value) {
  if (value.empty()) return;
  if (label == "Seed" || label == "Variation seed")
    if (const std::string fault = seed_fault(value); !fault.empty()) return note(fault + ".");
  // No skipped layer, as others count, is the 1 that is taken when nothing is said.
  if (label == "Clip skip" && parse_integer(value).value_or(0) < 1) return;
  settings_.infotext.set(label, value);
}

void Draft::size(const std::string& width, const std::string& height) {
  entry("Size-1", width);
  entry("Size-2", height);
}

void Draft::sampler(std::string name, std::string schedule) {
  if (name.empty()) return;
  const std::string given = name;
  name = lower(trim(name));
  schedule = lower(trim(schedule));
  for (const std::string_view start : {"sample_", "k_"})
    if (name.starts_with(start)) name.erase(0, start.size());
  cut_end(name, "_gpu");
  for (const std::string_view end : {" trailing", " substep"})
    if (cut_end(name, end))
      note(fmt::format("for the sampler '{}', '{}' is not supported here.", given, end.substr(1)));
  if (cut_end(name, " ays")) schedule = "align_your_steps";
  for (const std::string_view end : {" karras", "_karras", "_k"})
    if (cut_end(name, end)) schedule = "karras";
  for (const SamplerName& row : kScheduleNames)
    if (known(kSamplerNames, name).empty() && cut_end(name, fmt::format("_{}", row.other)))
      schedule = row.other;
  if (const std::string_view label = known(kSamplerNames, name); !label.empty()) {
    entry("Sampler", std::string(label));
  } else {
    note(fmt::format("the sampler '{}' is not available in LowRank; another is used.", given));
  }
  if (schedule.empty()) return;
  if (const std::string_view label = known(kScheduleNames, schedule); !label.empty()) {
    entry("Schedule type", std::string(label));
  } else {
    note(fmt::format("the schedule '{}' is not available in LowRank; the sampler's default is used.",
                     schedule));
  }
}

void Draft::model_hash(const std::string& sha256) {
  if (is_hash(sha256)) entry("Model hash", lower(sha256.substr(0, 10)));
}

void Draft::lora(const std::string& path, const std::string& weight, const std::string& hash) {
  const std::string name = model_stem(path);
  if (name.empty() || name == "None") return;
  for (const LoraTag& tag : parse_extra_networks(settings_.infotext.prompt + tags_).loras)
    if (tag.name == name) return;
  tags_ += fmt::format("<lora:{}:{}>", network_name(name), weight.empty() ? "1" : weight);
  if (!is_hash(hash)) return;
  std::string plain = name;
  std::erase_if(plain, [](char c) { return c == ',' || c == ':'; });
  hashes_ += fmt::format("{}{}: {}", hashes_.empty() ? "" : ", ", plain, lower(hash.substr(0, 12)));
}

PictureSettings Draft::finish() && {
  Infotext& infotext = settings_.infotext;
  if (!tags_.empty()) {
    infotext.prompt = trim_end(infotext.prompt);
    infotext.prompt += (infotext.prompt.empty() ? "" : " ") + tags_;
  }
  if (!hashes_.empty()) infotext.set("Lora hashes", hashes_);
  // Written with `Size` in one piece.
  Infotext written = infotext;
  const std::string *width = infotext.find("Size-1"), *height = infotext.find("Size-2");
  if (width != nullptr && height != nullptr) {
    const std::string size = fmt::format("{}x{}", *width, *height);
    const auto place =
        std::ranges::find(written.entries, "Size-1", &std::pair<std::string, std::string>::first);
    *place = {"Size", size};
    std::erase_if(written.entries, [](const auto& entry) { return entry.first == "Size-2"; });
  }
  settings_.text = write_infotext(written);
  return std::move(settings_);
}

}  // namespace lowrank::prompt
