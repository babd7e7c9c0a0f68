#include "prompt/number_lookalikes.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstddef>

#include "base/text/ascii.h"
#include "base/text/shortened.h"
#include "base/text/text.h"
#include "prompt/grammar/composition.h"

namespace lowrank::prompt {
namespace {

constexpr std::size_t kMostNumbers = 20;
constexpr std::string_view kDigits = "0123456789";

bool all_of(std::string_view text, std::string_view characters) {
  return text.find_first_not_of(characters) == std::string_view::npos;
}

// Where the run of characters that a number may have ends.
std::size_t run_end(std::string_view text, std::size_t at) {
  const auto is_part = [](char c) {
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
           std::string_view(".,+-%").find(c) != std::string_view::npos;
  };
  while (at < text.size() && is_part(text[at])) ++at;
  return at;
}

// A weight in round brackets: a sign, digits and points. A time in square ones may have an exponent, too.
bool is_read(std::string_view number, char closer) {
  const std::string_view characters = closer == ']' ? "0123456789.eE+-" : "0123456789.";
  std::string_view unsigned_part = number;
  if (number.starts_with('+') || number.starts_with('-')) unsigned_part.remove_prefix(1);
  return all_of(unsigned_part, characters) && parse_number(number).has_value();
}

std::string sentence(std::string_view written, std::string_view number, char closer) {
  const std::string_view what = closer == ']' ? "time" : "weight";
  std::string right = with_decimal_point(number);
  if (right.empty()) right = closer == ']' ? "0.5" : "1.2";
  return fmt::format(
      "'{}': '{}' is not a {} and is read as part of the prompt; write it with digits and a decimal point, "
      "such as {}.",
      shortened(written), shortened(number), what, right);
}

// Weights and times before a closing bracket.
void warn_in_brackets(std::string_view text, std::vector<std::string>& warnings) {
  std::vector<std::size_t> open;
  for (std::size_t at = 0; at < text.size() && warnings.size() < kMostNumbers; ++at) {
    const char c = text[at];
    if (c == '\\') {
      ++at;
    } else if (c == '(' || c == '[') {
      open.push_back(at);
    } else if ((c == ')' || c == ']') && !open.empty()) {
      open.pop_back();
    } else if (c == ':' && !open.empty()) {
      const std::size_t begin = skip_space(text, at + 1), end = run_end(text, begin);
      const std::size_t closer = skip_space(text, end);
      const char expected = text[open.back()] == '(' ? ')' : ']';
      if (closer >= text.size() || text[closer] != expected) continue;
      const std::string_view number = text.substr(begin, end - begin);
      if (!is_number_like(number) || is_read(number, expected)) continue;
      warnings.push_back(sentence(text.substr(open.back(), closer + 1 - open.back()), number, expected));
    }
  }
}

// Weights of the parts between AND.
void warn_of_parts(std::string_view text, std::vector<std::string>& warnings) {
  const auto parts = split_composition(text);
  if (parts.size() < 2) return;
  for (const ComposedPiece& part : parts) {
    const std::size_t colon = part.text.rfind(':');
    if (colon == std::string::npos || warnings.size() >= kMostNumbers) continue;
    const std::string_view number = trim(std::string_view(part.text).substr(colon + 1));
    if (is_number_like(number)) warnings.push_back(sentence(trim(part.text), number, ' '));
  }
}

}  // namespace

bool is_number_like(std::string_view text) {
  text = trim(text);
  if (text.starts_with('+') || text.starts_with('-')) text.remove_prefix(1);
  const std::string word = lower_ascii(text);
  if (word == "nan" || word == "inf" || word == "infinity") return true;
  const std::size_t digit = text.find_first_of(kDigits);
  return digit <= 1 && all_of(word, "0123456789.,+-e%") && (digit == 0 || text[0] == '.' || text[0] == ',');
}

std::string with_decimal_point(std::string_view text) {
  text = trim(text);
  const std::size_t comma = text.find(',');
  if (comma == std::string_view::npos) return "";
  std::string out(text);
  out[comma] = '.';
  return parse_number(out) && all_of(text.substr(comma + 1), kDigits) ? out : "";
}

std::vector<std::string> number_warnings(std::string_view text) {
  std::vector<std::string> warnings;
  warn_in_brackets(text, warnings);
  warn_of_parts(text, warnings);
  return warnings;
}

}  // namespace lowrank::prompt
