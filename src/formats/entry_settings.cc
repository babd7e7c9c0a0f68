#include "formats/entry_settings.h"

#include <fmt/format.h>

#include <vector>

#include "formats/lora/kind_table.h"

namespace lowrank::formats {
namespace {

std::int64_t size_along(const LoraEntry& entry, std::string_view part, std::size_t index) {
  const auto place = entry.parts.find(part);
  if (place == entry.parts.end() || place->second.shape.size() <= index) return -1;
  return place->second.shape[index];
}

}  // namespace

std::string missing_settings(const LoraEntry& entry) {
  constexpr std::string_view kPlace = "adapter_config.json; put it in the same folder";
  if (entry.kind == AdapterKind::kFourierFt && !entry.settings.seed)
    return fmt::format("the positions of its frequencies are drawn from a seed in {}", kPlace);
  if (entry.kind == AdapterKind::kRandLora && !entry.alpha) return fmt::format("its scale is in {}", kPlace);
  const auto names = shared_parts(entry.kind);
  if (!names) return "";
  const auto has = [&](std::string_view part) {
    return entry.parts.contains(part) || (entry.shared && entry.shared->contains(part));
  };
  if (has(names->a) && has(names->b)) return "";
  if (entry.kind == AdapterKind::kRandLora && entry.settings.bases == PeftSettings::Bases::kUniform)
    return fmt::format(
        "{} and {} are not in the file, and PEFT draws them in bfloat16, where PyTorch versions draw "
        "different numbers; save it with save_projection",
        names->a, names->b);
  if (entry.settings.seed) return "";
  return fmt::format(
      "{} and {} are not in the file, and the seed that they are drawn from is in {}, or save it with "
      "save_projection",
      names->a, names->b, kPlace);
}

void tell_magnitudes(LoraFile& lora) {
  std::vector<LoraEntry*> either;
  std::size_t peft = 0, lycoris = 0;
  for (LoraEntry& entry : lora.entries) {
    const auto scale = entry.parts.find("dora_scale"), down = entry.parts.find("lora_down.weight");
    if (scale == entry.parts.end() || down == entry.parts.end()) continue;
    const weights::Shape& shape = scale->second.shape;
    const std::int64_t out = size_along(entry, "lora_up.weight", 0),
                       in = size_along(entry, "lora_down.weight", 1);
    if (down->second.shape.size() == 2) {
      ++(shape.size() == 1 ? peft : lycoris);
    } else if (shape.size() != 4 || shape[0] != 1) {
      ++lycoris;
    } else if (out == in) {
      either.push_back(&entry);
    } else {
      ++(shape[1] == out ? peft : lycoris);
    }
  }
  if (either.empty()) return;
  const bool is_peft = peft > 0 && lycoris == 0;
  for (LoraEntry* entry : either) entry->facts.is_magnitude_of_outputs = is_peft;
  if (!is_peft && lycoris == 0)
    lora.notes.push_back(
        fmt::format("the dora_scale of {} square convolutions ('{}') may be per input (LyCORIS) or per "
                    "output (PEFT), and no other layer shows which: per input is assumed",
                    either.size(), either.front()->module));
}

}  // namespace lowrank::formats
