#include "library/lora_words.h"

#include <fmt/format.h>

#include "formats/hashes.h"
#include "formats/lora/lora_family.h"

namespace lowrank::library {
namespace {

std::string lower_squeezed(std::string_view text) {
  std::string out;
  for (const char c : text) {
    if ((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9')) out += c;
    if (c >= 'A' && c <= 'Z') out += static_cast<char>(c + 32);
  }
  return out;
}

}  // namespace

std::string base_text(const std::string& architecture, const std::string& said) {
  // Of a family with many offspring (Pony, Illustrious) the name tells more than the family.
  const std::string word = lower_squeezed(said);
  const bool is_unknown = word.empty() || word == "unknown";
  if (!is_unknown && !word.starts_with("sd") && !word.starts_with("stable")) return said;
  if (architecture.empty() && !is_unknown) return said;
  return std::string(formats::family_name(architecture));
}

std::string rank_text(std::int64_t low, std::int64_t high) {
  if (high == 0) return "";
  return low == high ? fmt::format("{}", low) : fmt::format("{} to {}", low, high);
}

std::string trigger_text(const Record& record) {
  if (!record.activation.empty()) return record.activation;
  if (const auto words = list_of(record.triggers); !words.empty())
    return fmt::format("{}", fmt::join(words, ", "));
  const auto counts = counts_of(record.caption_tags);
  return counts.empty() ? "" : counts.front().first;
}

std::string weight_text(double weight) {
  return weight == 0 ? "1" : fmt::format("{}", weight);
}

std::string lora_hash(const Record& record) {
  if (formats::states_auto_v3(record.sshs)) return record.sshs.substr(0, 12);
  // A pickle has no header that could be left out.
  return (record.header == 0 ? record.sha256 : record.addnet).substr(0, 12);
}

}  // namespace lowrank::library
