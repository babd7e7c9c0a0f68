#include "weights/json_scanner.h"

#include <algorithm>
#include <charconv>
#include <vector>

#include "base/text/utf8.h"

namespace lowrank::weights {
namespace {

constexpr std::size_t kDeepest = 64;

bool is_blank(char c) {
  return c == ' ' || c == '\n' || c == '\t' || c == '\r';
}
bool is_digit(char c) {
  return c >= '0' && c <= '9';
}

// What stands behind a backslash, without the u of \uXXXX; 0 for what may not stand there.
char escaped(char c) {
  switch (c) {
    case '"':
    case '\\':
    case '/':
      return c;
    case 'b':
      return '\b';
    case 'f':
      return '\f';
    case 'n':
      return '\n';
    case 'r':
      return '\r';
    case 't':
      return '\t';
    default:
      return 0;
  }
}

// The four hexadecimal digits at the start of `text`; -1 when they are none.
int code_unit(std::string_view text) {
  if (text.size() < 4) return -1;
  int value = 0;
  const auto [end, problem] = std::from_chars(text.data(), text.data() + 4, value, 16);
  return problem == std::errc{} && end == text.data() + 4 && text[0] != '-' ? value : -1;
}

// A text between its quotes with the escapes resolved. False when something in it is not JSON; U+FFFD stands there.
bool resolve(std::string_view raw, std::string& found) {
  bool is_sound = true;
  while (!raw.empty()) {
    const auto stop = std::min(raw.find('\\'), raw.size());
    found += raw.substr(0, stop);
    raw.remove_prefix(stop);
    if (raw.size() < 2) break;
    if (raw[1] != 'u') {
      const char letter = escaped(raw[1]);
      is_sound = is_sound && letter != 0;
      found += letter != 0 ? letter : raw[1];
      raw.remove_prefix(2);
      continue;
    }
    raw.remove_prefix(2);
    const int first = code_unit(raw);
    const int second = raw.size() >= 6 && raw[4] == '\\' && raw[5] == 'u' ? code_unit(raw.substr(6)) : -1;
    const bool is_high = first >= 0xD800 && first < 0xDC00, is_low = first >= 0xDC00 && first < 0xE000;
    if (is_high && second >= 0xDC00 && second < 0xE000) {
      append_utf8(found, static_cast<char32_t>(0x10000 + ((first - 0xD800) << 10) + (second - 0xDC00)));
      raw.remove_prefix(10);
    } else {
      is_sound = is_sound && first >= 0 && !is_high && !is_low;
      append_utf8(found, first < 0 ? 0xFFFD : static_cast<char32_t>(first));
      raw.remove_prefix(first < 0 ? 0 : 4);
    }
  }
  return is_sound;
}

}  // namespace

bool JsonScanner::skip_blanks() {
  const char* const from = at_;
  while (at_ != end_ && is_blank(*at_)) ++at_;
  return at_ != from;
}

bool JsonScanner::comes(char wanted) {
  skip_blanks();
  return at_ != end_ && *at_ == wanted;
}

bool JsonScanner::take(char wanted) {
  if (!comes(wanted)) return false;
  ++at_;
  return true;
}

std::string_view JsonScanner::what_comes() {
  skip_blanks();
  const std::string_view rest(at_, static_cast<std::size_t>(end_ - at_));
  if (rest.empty()) return "";
  if (rest[0] == '"') return "a string";
  if (rest[0] == '[') return "a list";
  if (rest[0] == '{') return "an object";
  if (rest.starts_with("null")) return "a null";
  if (rest.starts_with("true") || rest.starts_with("false")) return "a boolean";
  return is_digit(rest[0]) || rest[0] == '-' ? "a number" : "";
}

// From quote to quote. `is_plain`: nothing in it is an escape, a control character or beyond ASCII.
bool JsonScanner::bare_text(std::string_view& raw, bool& is_plain) {
  if (!take('"')) return false;
  const char* const from = at_;
  is_plain = true;
  for (; at_ != end_ && *at_ != '"'; ++at_) {
    const auto c = static_cast<unsigned char>(*at_);
    if (c >= 0x20 && c < 0x80 && c != '\\') continue;
    is_plain = false;
    if (c == '\\' && ++at_ == end_) return false;
  }
  if (at_ == end_) return false;
  raw = {from, static_cast<std::size_t>(at_ - from)};
  ++at_;
  return true;
}

bool JsonScanner::text(std::string_view& found, std::deque<std::string>& unescaped) {
  bool is_plain = false;
  const char* const from = at_;
  if (!bare_text(found, is_plain)) return false;
  if (is_plain) return true;
  bool has_control = false;
  for (const char c : found) has_control = has_control || static_cast<unsigned char>(c) < 0x20;
  std::string resolved;
  if (has_control || !is_utf8(found) || !resolve(found, resolved)) {
    at_ = from;
    return false;
  }
  if (found.find('\\') != std::string_view::npos) found = unescaped.emplace_back(std::move(resolved));
  return true;
}

bool JsonScanner::any_text(std::string& found, bool& was_sound) {
  std::string_view raw;
  bool is_plain = false;
  if (!bare_text(raw, is_plain)) return false;
  was_sound = true;
  if (is_plain) {
    found = raw;
    return true;
  }
  const bool is_whole = is_utf8(raw);
  was_sound = resolve(raw, found) && is_whole;
  for (const char c : raw) was_sound = was_sound && static_cast<unsigned char>(c) >= 0x20;
  if (!is_whole) found = mended_utf8(found);
  return true;
}

JsonScanner::Number JsonScanner::number(std::uint64_t& value) {
  skip_blanks();
  const char* at = at_;
  const bool is_negative = at != end_ && *at == '-';
  if (is_negative) ++at;
  if (at == end_ || !is_digit(*at)) return Number::kNone;
  const auto [end, problem] = std::from_chars(at, end_, value);
  const bool has_leading_zero = *at == '0' && end - at > 1;
  at_ = end;
  if (problem != std::errc{} || has_leading_zero ||
      (end != end_ && (*end == '.' || *end == 'e' || *end == 'E')))
    return Number::kOther;
  return is_negative ? Number::kNegative : Number::kWhole;
}

// A number, true, false, null, NaN, Infinity.
bool JsonScanner::skip_word() {
  const char* const from = at_;
  const auto belongs = [](char c) {
    return is_digit(c) || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '-' || c == '+' ||
           c == '.';
  };
  while (at_ != end_ && belongs(*at_)) ++at_;
  return at_ != from;
}

// A list of what is open instead of recursion: a hostile header cannot exhaust the stack.
bool JsonScanner::skip_value() {
  std::vector<char> open;
  do {
    skip_blanks();
    if (at_ == end_) return false;
    bool has_ended = true;
    if (*at_ == '{' || *at_ == '[') {
      if (open.size() >= kDeepest) return false;
      open.push_back(*at_ == '{' ? '}' : ']');
      ++at_;
      has_ended = take(open.back());
      if (has_ended) open.pop_back();
    } else {
      std::string_view raw;
      bool is_plain = false;
      if (*at_ == '"' ? !bare_text(raw, is_plain) : !skip_word()) return false;
    }
    // Behind a value stands a comma, or the ends of what it stood in.
    while (has_ended && !open.empty() && !take(',')) {
      if (!take(open.back())) return false;
      open.pop_back();
    }
    if (!open.empty() && open.back() == '}') {
      std::string_view raw;
      bool is_plain = false;
      if (!bare_text(raw, is_plain) || !take(':')) return false;
    }
  } while (!open.empty());
  return true;
}

}  // namespace lowrank::weights
