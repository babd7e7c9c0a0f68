#include "library/near_names.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "base/text/ascii.h"

namespace lowrank::library {
namespace {}  // namespace

std::size_t edit_distance(std::string_view a, std::string_view b) {
  std::vector<std::size_t> before, row(b.size() + 1), next(b.size() + 1);
  for (std::size_t j = 0; j <= b.size(); ++j) row[j] = j;
  for (std::size_t i = 1; i <= a.size(); ++i) {
    next[0] = i;
    for (std::size_t j = 1; j <= b.size(); ++j) {
      next[j] = std::min({row[j] + 1, next[j - 1] + 1, row[j - 1] + (a[i - 1] == b[j - 1] ? 0u : 1u)});
      if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
        next[j] = std::min(next[j], before[j - 2] + 1);
    }
    before = row;
    std::swap(row, next);
  }
  return row[b.size()];
}

std::vector<std::string> near_names(std::string_view name, std::span<const std::string> known) {
  const std::string wanted = lower_ascii(name.substr(0, 200));
  if (wanted.empty()) return {};
  std::vector<std::pair<std::size_t, std::string>> found;
  for (const auto& other : known) {
    const std::string lower = lower_ascii(std::string_view(other).substr(0, 200));
    const bool contains = lower.find(wanted) != std::string::npos ||
                          (lower.size() > 2 && wanted.find(lower) != std::string::npos);
    const std::size_t far = contains ? 1 : edit_distance(wanted, lower);
    if (far <=
        std::max<std::size_t>(1, std::min<std::size_t>(4, wanted.size() / 3 + (wanted.size() > 3 ? 1 : 0))))
      found.emplace_back(lower == wanted ? 0 : far, other);
  }
  std::ranges::stable_sort(found, {}, [](const auto& entry) { return entry.first; });
  std::vector<std::string> names;
  for (auto& [far, other] : found)
    if (names.size() < 3 && std::ranges::find(names, other) == names.end()) names.push_back(std::move(other));
  return names;
}

std::string did_you_mean(std::string_view name, std::span<const std::string> known) {
  const auto names = near_names(name, known);
  return names.empty() ? "" : fmt::format(" Did you mean {}?", fmt::join(names, " or "));
}

}  // namespace lowrank::library
