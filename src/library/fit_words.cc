#include "library/fit_words.h"

#include <fmt/format.h>

#include "formats/lora/lora_family.h"
#include "formats/lora/lora_fit.h"
#include "formats/subfamily.h"

namespace lowrank::library {

bool fits(const Record& record, const Fitting& fitting) {
  if (!record.problem.empty()) return false;
  if (!fitting.checkpoint.empty()) return fitting.layouts.contains(record.layout);
  return formats::family_labelled(record.architecture) != nullptr;
}

std::string subfamily_text(const Record& record, const Fitting& fitting) {
  if (!fits(record, fitting) || !record.subfamily_conflict.empty()) return "";
  return formats::subfamily_hint(record.subfamily, fitting.subfamily);
}

std::string misfit_text(const Record& record, const Fitting& fitting, FittingCheckpoints& others) {
  if (fits(record, fitting)) return "";
  const auto where = [&] {
    std::string text = formats::fitting_text(others.of(record));
    text.front() = static_cast<char>(text.front() - 32);  // a sentence of its own
    return text;
  };
  const bool is_drawn = formats::family_labelled(record.architecture) != nullptr;
  if (!record.architecture.empty() && !is_drawn)
    return fmt::format(
        "Made for {}: LowRank draws with Stable Diffusion 1.x, 2.x and SDXL. Look for a version for one of "
        "these.",
        formats::family_name(record.architecture));
  const auto* checkpoint = formats::family_labelled(fitting.architecture);
  if (record.problem.empty() && is_drawn && checkpoint != nullptr &&
      record.architecture != fitting.architecture)
    return fmt::format("Made for {}; '{}' is {} {} checkpoint. {}.",
                       formats::family_name(record.architecture), fitting.checkpoint, checkpoint->article,
                       checkpoint->name, where());
  if (record.problem.empty() && is_drawn)
    return fmt::format("Made for other layers than those of the checkpoint '{}': it has no effect there. {}.",
                       fitting.checkpoint, where());
  if (record.problem.empty()) return "Its base model is not recognised: it may have no effect.";
  // The path is of no use beside the card.
  const auto at = record.problem.find(record.relative);
  return at == std::string::npos ? record.problem : record.problem.substr(at);
}

}  // namespace lowrank::library
