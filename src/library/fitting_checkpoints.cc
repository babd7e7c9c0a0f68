#include "library/fitting_checkpoints.h"

#include <utility>

#include "base/error.h"
#include "formats/lora/lora_fit.h"
#include "library/data_dir.h"

namespace lowrank::library {

namespace fs = std::filesystem;

void FittingCheckpoints::look() {
  if (std::exchange(has_looked_, true)) return;
  const auto indexed = library_.checkpoint_records();
  for (const fs::path& file : all_checkpoints(library_.data())) {
    try {
      // The starter is in no index.
      const auto found = indexed.find(where_is(file));
      const std::int64_t layout = found != indexed.end()
                                      ? found->second.layout
                                      : formats::layout_digest(formats::open_checkpoint(file));
      if (layout == 0) continue;
      layouts_.try_emplace(layout, Layout{file, std::nullopt});
      checkpoints_.emplace_back(checkpoint_name(file), layout);
    } catch (const Error&) {
      // Whoever draws with it is told why.
    }
  }
}

template <typename Fits>
std::vector<std::string> FittingCheckpoints::names_where(const Fits& fits) {
  look();
  std::set<std::int64_t> fitting;
  for (auto& [digest, layout] : layouts_) {
    try {
      if (fits(layout)) fitting.insert(digest);
    } catch (const Error&) {
      // It has gone since it was looked at.
    }
  }
  std::vector<std::string> names;
  for (const auto& [name, layout] : checkpoints_)
    if (fitting.contains(layout)) names.push_back(name);
  return names;
}

std::vector<std::string> FittingCheckpoints::of(const formats::LoraFile& lora) {
  return names_where([&](const Layout& layout) {
    return formats::fit_lora(lora, formats::open_checkpoint(layout.example)).applies();
  });
}

const std::vector<std::string>& FittingCheckpoints::of(const Record& lora) {
  const auto known = known_.find(lora.layout);
  if (known != known_.end()) return known->second;
  return known_
      .emplace(lora.layout, names_where([&](Layout& layout) {
                 if (!layout.loras) layout.loras = library_.fitting_layouts(library_.fit_of(layout.example));
                 return layout.loras->contains(lora.layout);
               }))
      .first->second;
}

}  // namespace lowrank::library
