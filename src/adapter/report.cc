#include "adapter/report.h"

#include <fmt/format.h>

#include <algorithm>

namespace lowrank::adapter {
namespace {

// "4" or "4–32": the span of the keys, in the order of a map.
template <typename Key>
std::string span_text(const std::map<Key, std::int64_t>& counts) {
  if (counts.empty()) return "none";
  const auto first = counts.begin()->first, last = counts.rbegin()->first;
  return first == last ? fmt::format("{:g}", static_cast<double>(first))
                       : fmt::format("{:g}–{:g}", static_cast<double>(first), static_cast<double>(last));
}

std::string kinds_text(const std::map<std::string, std::int64_t>& kinds) {
  std::string all;
  for (const auto& [kind, count] : kinds) all += fmt::format("{}{}", all.empty() ? "" : " + ", kind);
  return all;
}

std::string component_text(const char* name, const ComponentReport& component) {
  if (component.modules == 0) return fmt::format("  {:<13} not addressed\n", name);
  return fmt::format("  {:<13} {} of {} modules applied, weight {:g}\n", name, component.applied,
                     component.modules, component.weight);
}

}  // namespace

std::string text(const ApplyReport& report) {
  std::string out = fmt::format("{}: {} for {}, rank {}, alpha {}\n", report.name, kinds_text(report.kinds),
                                report.base_model, span_text(report.ranks), span_text(report.alphas));
  out += component_text("U-Net", report.unet) + component_text("text encoder", report.text_encoder);
  if (report.dyn) out += fmt::format("  dyn           the first {} rank components\n", *report.dyn);
  if (report.measured) {
    out += fmt::format("  change        {:.2f} % of the changed weights", 100 * report.relative);
    const auto strongest =
        std::max_element(report.blocks.begin(), report.blocks.end(),
                         [](const auto& a, const auto& b) { return a.relative < b.relative; });
    if (strongest != report.blocks.end())
      out += fmt::format(", most in {} ({:.2f} %)", strongest->block, 100 * strongest->relative);
    out += '\n';
  }
  out += fmt::format("  keys          {} applied, {} skipped, {} unknown, {} in the file\n",
                     report.keys_applied, report.keys_skipped, report.keys_unknown, report.keys_total);
  for (const auto& skipped : report.skipped)
    out += fmt::format("  skipped       {}: {}\n", skipped.module, skipped.reason);
  for (const auto& key : report.unknown) out += fmt::format("  unknown       {}\n", key);
  for (const auto& note : report.notes) out += fmt::format("  note          {}\n", note);
  return out;
}

}  // namespace lowrank::adapter
