#include "prompt/grammar/tag_times.h"

#include <algorithm>
#include <charconv>
#include <string>

#include <fmt/format.h>

#include "prompt/grammar/composition.h"

namespace lowrank::prompt {
namespace {

// Stands where a tag stood, with its number: a byte that well-formed UTF-8 does not have, which no rule of the
// prompt language looks at.
constexpr char kMark = '\xff';

// The prompt with a mark in place of each LoRA; other tags are cut out.
std::string marked(std::string_view prompt, const ExtraNetworks& networks) {
  std::string out;
  std::size_t copied = 0, next = 0;
  for (std::size_t i = 0; i < networks.tags.size(); ++i) {
    const NetworkTag& tag = networks.tags[i];
    out += prompt.substr(copied, tag.begin - copied);
    copied = tag.end;
    if (next >= networks.loras.size() || networks.loras[next].tag != i) continue;
    out += fmt::format("{}{}{}", kMark, next++, kMark);
  }
  return out + std::string(prompt.substr(copied));
}

// Numbers of the LoRAs whose marks stand in `text`.
std::vector<std::size_t> marks_in(std::string_view text) {
  std::vector<std::size_t> found;
  for (std::size_t at = text.find(kMark); at != std::string_view::npos;) {
    const std::size_t end = text.find(kMark, at + 1);
    if (end == std::string_view::npos) break;
    std::size_t number = 0;
    std::from_chars(text.data() + at + 1, text.data() + end, number);
    found.push_back(number);
    at = text.find(kMark, end + 1);
  }
  return found;
}

}  // namespace

void find_tag_times(std::string_view prompt, ExtraNetworks& networks, const ScheduleSteps& steps) {
  if (networks.loras.empty() || prompt.find('[') == std::string_view::npos) return;
  for (const ComposedPiece& piece : split_composition(marked(prompt, networks))) {
    const std::vector<std::size_t> numbers = marks_in(piece.text);
    if (numbers.empty()) continue;
    for (const ScheduleEntry& entry : resolve_schedule(piece.text, steps)) {
      std::vector<std::size_t> present = marks_in(entry.text);
      std::sort(present.begin(), present.end());
      for (const std::size_t number : numbers) {
        auto& times = networks.loras[number].times;
        const bool is_there = std::binary_search(present.begin(), present.end(), number);
        if (!times.empty() && times.back().is_there == is_there) {
          times.back().end_at_step = entry.end_at_step;
        } else {
          times.push_back({entry.end_at_step, is_there});
        }
      }
    }
    for (const std::size_t number : numbers) {
      auto& times = networks.loras[number].times;
      if (times.size() == 1 && times[0].is_there) times.clear();
    }
  }
}

}  // namespace lowrank::prompt
