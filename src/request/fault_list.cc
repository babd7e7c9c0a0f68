#include "request/fault_list.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/error.h"

namespace lowrank::request {
namespace {

constexpr std::size_t kMostTold = 20;

struct Remedy {
  std::string text;
  std::vector<std::string> facts;
};

}  // namespace

void FaultList::add(std::string fault) {
  if (!fault.empty() && std::ranges::find(faults_, fault) == faults_.end())
    faults_.push_back(std::move(fault));
}

void FaultList::add_from(const std::function<void()>& work) {
  try {
    work();
  } catch (const Error& error) {
    if (error.code() == kCancelled) throw;
    add(error.what());
  }
}

std::string FaultList::sentence() const {
  std::vector<Remedy> remedies;  // in the order in which they came
  for (std::size_t i = 0; i < std::min(faults_.size(), kMostTold); ++i) {
    const std::string& fault = faults_[i];
    const auto cut = std::min(fault.find("; "), fault.size());
    std::string fact = fault.substr(0, cut), text = fault.substr(cut);
    if (text.ends_with('.')) text.pop_back();
    if (text.empty() && fact.ends_with('.')) fact.pop_back();
    auto same = std::ranges::find(remedies, text, &Remedy::text);
    if (same == remedies.end()) same = remedies.insert(remedies.end(), Remedy{text, {}});
    same->facts.push_back(std::move(fact));
  }
  std::string joined;
  for (const Remedy& remedy : remedies)
    joined += fmt::format("{}{}{}", joined.empty() ? "" : "; ", fmt::join(remedy.facts, "; "), remedy.text);
  if (faults_.size() > kMostTold) joined += fmt::format("; and {} more", faults_.size() - kMostTold);
  return joined + (joined.empty() || joined.ends_with('?') ? "" : ".");
}

void FaultList::throw_if_any() const {
  if (!faults_.empty()) throw Error(kBadInput, "{}", sentence());
}

}  // namespace lowrank::request
