#include "base/text/text.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstdint>
#include <iterator>
#include <locale>
#include <span>
#include <sstream>

namespace lowrank {
namespace {

struct CodeRange {
  char32_t first;
  char32_t last;
};

// Characters first, first + stride, … last become `delta` more than they are.
struct LowerRun {
  char32_t first;
  char32_t last;
  char32_t stride;
  std::int32_t delta;
};

#include "base/text/unicode_tables.inc"

template <typename Range>
const Range* find_range(std::span<const Range> ranges, char32_t code) {
  const auto after = std::upper_bound(ranges.begin(), ranges.end(), code,
                                      [](char32_t value, const Range& range) { return value < range.first; });
  if (after == ranges.begin()) return nullptr;
  const Range& range = *std::prev(after);
  return code <= range.last ? &range : nullptr;
}

template <std::size_t N>
bool contains(const CodeRange (&ranges)[N], char32_t code) {
  return find_range(std::span<const CodeRange>(ranges), code) != nullptr;
}

bool is_ascii_letter(char32_t code) {
  return (code >= 'a' && code <= 'z') || (code >= 'A' && code <= 'Z');
}

// Runs overlap where upper- and lower-case letters alternate with two different distances, so neighbours are
// tried too.
char32_t lower_one(char32_t code) {
  if (code < 0x80) return code >= 'A' && code <= 'Z' ? code + 0x20 : code;
  const std::span<const LowerRun> runs(kLowerRuns);
  auto run = std::upper_bound(runs.begin(), runs.end(), code,
                              [](char32_t value, const LowerRun& r) { return value < r.first; });
  for (int tries = 0; tries < 4 && run != runs.begin(); ++tries) {
    --run;
    if (code <= run->last && (code - run->first) % run->stride == 0) {
      return static_cast<char32_t>(static_cast<std::int32_t>(code) + run->delta);
    }
  }
  return code;
}

// Unicode's Final_Sigma: a cased letter before, none after, case-ignorable characters not counted.
bool is_final_sigma(std::string_view text, std::size_t at, std::size_t length) {
  std::size_t before = at;
  while (before > 0) {
    const Decoded c = decode_before(text, before);
    before -= c.length;
    if (contains(kCaseIgnorable, c.code)) continue;
    if (!contains(kCased, c.code)) return false;
    std::size_t after = at + length;
    while (after < text.size()) {
      const Decoded next = decode_at(text, after);
      after += next.length;
      if (contains(kCaseIgnorable, next.code)) continue;
      return !contains(kCased, next.code);
    }
    return true;
  }
  return false;
}

// Blanks trimmed, digits of any script made ASCII, underscores between digits dropped. Empty when it cannot
// be a number.
std::string plain_number(std::string_view text) {
  text = trim(text);
  std::string out;
  bool after_digit = false;
  for (std::size_t at = 0; at < text.size();) {
    const Decoded c = decode_at(text, at);
    at += c.length;
    if (const auto digit = digit_value(c.code)) {
      out += static_cast<char>('0' + *digit);
      after_digit = true;
    } else if (c.code == '_') {
      if (!after_digit || at == text.size() || !digit_value(decode_at(text, at).code)) return {};
    } else {
      if (c.code >= 0x80) return {};
      out += static_cast<char>(c.code);
      after_digit = false;
    }
  }
  return out;
}

// One leading `+` is allowed, which from_chars does not know.
bool drop_plus(std::string& number) {
  if (number.empty() || number[0] != '+') return true;
  number.erase(0, 1);
  return number.empty() || (number[0] != '-' && number[0] != '+');
}

}  // namespace

Decoded decode_before(std::string_view text, std::size_t end) {
  for (std::size_t length = 1; length <= 4 && length <= end; ++length) {
    const Decoded c = decode_at(text.substr(0, end), end - length);
    if (c.length == length && (length > 1 || c.code != 0xfffd)) return c;
  }
  return {0xfffd, 1};
}

bool is_letter(char32_t code) {
  return code < 0x80 ? is_ascii_letter(code) : contains(kLetters, code);
}

bool is_number(char32_t code) {
  return code < 0x80 ? code >= '0' && code <= '9' : contains(kNumbers, code);
}

bool is_word(char32_t code) {
  return code == '_' || is_letter(code) || is_number(code);
}

bool is_white_space(char32_t code) {
  return (code >= 9 && code <= 13) || code == ' ' || code == 0x85 || code == 0xa0 || code == 0x1680 ||
         (code >= 0x2000 && code <= 0x200a) || code == 0x2028 || code == 0x2029 || code == 0x202f ||
         code == 0x205f || code == 0x3000;
}

bool is_space(char32_t code) {
  return is_white_space(code) || (code >= 0x1c && code <= 0x1f);
}

std::optional<int> digit_value(char32_t code) {
  if (code < 0x80)
    return code >= '0' && code <= '9' ? std::optional<int>(static_cast<int>(code - '0')) : std::nullopt;
  const CodeRange* range = find_range(std::span<const CodeRange>(kDecimalDigits), code);
  if (range == nullptr) return std::nullopt;
  return static_cast<int>((code - range->first) % 10);
}

bool word_ends_at(std::string_view text, std::size_t at) {
  const bool before = at > 0 && is_word(decode_before(text, at).code);
  const bool after = at < text.size() && is_word(decode_at(text, at).code);
  return before != after;
}

std::size_t skip_space(std::string_view text, std::size_t at) {
  while (at < text.size()) {
    const Decoded c = decode_at(text, at);
    if (!is_space(c.code)) break;
    at += c.length;
  }
  return at;
}

std::string_view trim_end(std::string_view text) {
  while (!text.empty()) {
    const Decoded c = decode_before(text, text.size());
    if (!is_space(c.code)) break;
    text.remove_suffix(c.length);
  }
  return text;
}

std::string_view trim(std::string_view text) {
  text.remove_prefix(skip_space(text, 0));
  return trim_end(text);
}

std::string well_formed(std::string_view text) {
  return mended_utf8(text);
}

std::string lower(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  for (std::size_t at = 0; at < text.size();) {
    const Decoded c = decode_at(text, at);
    if (c.code == 0x130) {
      append_utf8(out, U'i');
      append_utf8(out, 0x307);
    } else if (c.code == 0x3a3) {
      append_utf8(out, is_final_sigma(text, at, c.length) ? 0x3c2 : 0x3c3);
    } else {
      append_utf8(out, lower_one(c.code));
    }
    at += c.length;
  }
  return out;
}

std::optional<double> parse_number(std::string_view text) {
  std::string number = plain_number(text);
  if (!drop_plus(number) || number.empty()) return std::nullopt;
  // from_chars also knows "nan", "inf" and hexadecimal digits after none; only these characters make a plain
  // number.
  if (number.find_first_not_of("0123456789.eE+-") != std::string::npos) return std::nullopt;
  double value = 0;
  const char* end = number.data() + number.size();
  const auto [stop, status] = std::from_chars(number.data(), end, value);
  if (stop != end || status == std::errc::invalid_argument) return std::nullopt;
  if (status == std::errc::result_out_of_range) {  // too large, or too small and therefore zero
    std::istringstream stream(number);
    stream.imbue(std::locale::classic());
    stream >> value;
    if (std::abs(value) > 1) return std::nullopt;
  }
  return value;
}

std::optional<int> parse_integer(std::string_view text) {
  std::string number = plain_number(text);
  if (!drop_plus(number) || number.empty()) return std::nullopt;
  int value = 0;
  const char* end = number.data() + number.size();
  const auto [stop, status] = std::from_chars(number.data(), end, value);
  if (stop != end || status != std::errc{}) return std::nullopt;
  return value;
}

}  // namespace lowrank
