#include "prompt/infotext_values.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cstdint>

#include "base/text/text.h"

namespace lowrank::prompt {
namespace {

constexpr std::array<std::string_view, 3> kGrouped = {"Seed", "Variation seed", "Steps"};
constexpr std::array<std::string_view, 5> kFractions = {"CFG scale", "Denoising strength", "Hires upscale",
                                                        "Variation seed strength", "Eta"};

template <std::size_t N>
bool is_one_of(const std::array<std::string_view, N>& labels, std::string_view label) {
  return std::ranges::find(labels, label) != labels.end();
}

bool is_ascii_digit(std::string_view text, std::size_t at) {
  return at < text.size() && text[at] >= '0' && text[at] <= '9';
}

std::size_t ascii_digits_end(std::string_view text, std::size_t at) {
  while (is_ascii_digit(text, at)) ++at;
  return at;
}

std::size_t digits_end(std::string_view text, std::size_t at) {
  while (at < text.size()) {
    const Decoded c = decode_at(text, at);
    if (!digit_value(c.code)) break;
    at += c.length;
  }
  return at;
}

// Behind the cross between width and height at `at`; 0: there is none.
std::size_t cross_end(std::string_view text, std::size_t at) {
  for (const std::string_view cross : {"x", "X", "*", "×", "✕", "х"})
    if (text.substr(std::min(at, text.size())).starts_with(cross)) return at + cross.size();
  return 0;
}

}  // namespace

std::optional<SizeText> split_size(std::string_view value) {
  const std::size_t cross = digits_end(value, 0);
  if (cross == 0 || cross >= value.size() || value[cross] != 'x') return std::nullopt;
  const std::size_t end = digits_end(value, cross + 1);
  if (end == cross + 1 || end != value.size()) return std::nullopt;
  return SizeText(value.substr(0, cross), value.substr(cross + 1));
}

std::optional<SizeText> split_loose_size(std::string_view value) {
  value = trim(value);
  const auto skip_unit = [&](std::size_t at) {
    at = skip_space(value, at);
    for (const std::string_view unit : {"pixels", "px"})
      if (lower(value.substr(at, unit.size())) == unit) return skip_space(value, at + unit.size());
    return at;
  };
  const std::size_t width_end = digits_end(value, 0);
  const std::size_t cross = cross_end(value, skip_unit(width_end));
  if (width_end == 0 || cross == 0) return std::nullopt;
  const std::size_t height = skip_space(value, cross), height_end = digits_end(value, height);
  if (height_end == height || skip_unit(height_end) != value.size()) return std::nullopt;
  return SizeText(value.substr(0, width_end), value.substr(height, height_end - height));
}

std::size_t comma_number_end(std::string_view text, std::size_t at, std::string_view label) {
  std::size_t end = ascii_digits_end(text, at);
  if (end == at || end >= text.size() || text[end] != ',') return 0;
  if (is_one_of(kGrouped, label)) {
    const std::size_t first = end;
    while (end < text.size() && text[end] == ',' && ascii_digits_end(text, end + 1) == end + 4) end += 4;
    return end == first || first - at > 3 ? 0 : end;
  }
  if (!is_one_of(kFractions, label) || !is_ascii_digit(text, end + 1)) return 0;
  end = ascii_digits_end(text, end + 1);
  const std::size_t next = std::min(text.find_first_not_of(" \t", end), text.size());
  return next == text.size() || text[next] == ',' || text[next] == '\n' ? end : 0;
}

std::string without_commas(std::string_view number, std::string_view label) {
  std::string out(number);
  if (is_one_of(kGrouped, label)) std::erase(out, ',');
  std::ranges::replace(out, ',', '.');
  return out;
}

std::string seed_fault(std::string_view seed) {
  seed = trim(seed);
  std::int64_t value = 0;
  const auto [end, status] = std::from_chars(seed.data(), seed.data() + seed.size(), value);
  const bool is_whole = !seed.empty() && end == seed.data() + seed.size();
  const bool is_in_range = status == std::errc() && value <= kLargestSeed;
  if (is_whole && is_in_range && value >= 0) return "";
  if (is_whole && !is_in_range && seed.front() != '-')
    return fmt::format("the seed {} exceeds {}, the largest that LowRank supports, and is ignored",
                       seed.substr(0, 60), kLargestSeed);
  if (seed == "-1") return "the seed -1 means a random one";
  return fmt::format("the seed '{}' is not a whole number and is ignored", seed.substr(0, 60));
}

}  // namespace lowrank::prompt
