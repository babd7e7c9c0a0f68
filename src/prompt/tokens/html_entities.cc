#include "prompt/tokens/html_entities.h"

#include <array>
#include <cstdint>
#include <optional>

#include "base/text/text.h"
#include "prompt/tokens/vocabulary_blob.h"

namespace lowrank::prompt {
namespace {

// Numbers 0x80 … 0x9f, which HTML reads as Windows-1252 (its five holes stay as they are).
constexpr std::array<std::uint16_t, 32> kWindows1252 = {
    0x20ac, 0x81,   0x201a, 0x0192, 0x201e, 0x2026, 0x2020, 0x2021, 0x02c6, 0x2030, 0x0160,
    0x2039, 0x0152, 0x8d,   0x017d, 0x8f,   0x90,   0x2018, 0x2019, 0x201c, 0x201d, 0x2022,
    0x2013, 0x2014, 0x02dc, 0x2122, 0x0161, 0x203a, 0x0153, 0x9d,   0x017e, 0x0178};

constexpr std::size_t kLongestName = 32;  // characters after `&`

std::optional<std::string_view> find_entity(const Vocabulary& table, std::string_view name) {
  std::size_t low = 0;
  std::size_t high = table.name_offset.size() - 1;
  while (low < high) {
    const std::size_t middle = (low + high) / 2;
    const auto part = [&](std::span<const std::uint16_t> offsets, std::string_view text) {
      return text.substr(offsets[middle], static_cast<std::size_t>(offsets[middle + 1] - offsets[middle]));
    };
    const int order = name.compare(part(table.name_offset, table.names));
    if (order == 0) return part(table.value_offset, table.values);
    if (order < 0) {
      high = middle;
    } else {
      low = middle + 1;
    }
  }
  return std::nullopt;
}

// Numbers that stand for no character; they vanish.
bool is_dropped(std::uint32_t code) {
  return (code >= 0x1 && code <= 0x8) || code == 0xb || (code >= 0xe && code <= 0x1f) || code == 0x7f ||
         (code >= 0xfdd0 && code <= 0xfdef) || (code & 0xfffe) == 0xfffe;
}

void append_number(std::string& out, std::uint32_t code) {
  if (code == 0 || code > 0x10ffff || (code >= 0xd800 && code <= 0xdfff)) {
    append_utf8(out, 0xfffd);
  } else if (code >= 0x80 && code <= 0x9f) {
    append_utf8(out, windows_1252(code));
  } else if (!is_dropped(code)) {
    append_utf8(out, code);
  }
}

// `&#…` at `at`; returns the offset behind it, or `at` when there are no digits.
std::size_t decode_number(std::string_view text, std::size_t at, std::string& out) {
  std::size_t next = at + 2;
  const bool is_hex = next < text.size() && (text[next] == 'x' || text[next] == 'X');
  if (is_hex) ++next;
  const std::size_t first_digit = next;
  std::uint32_t code = 0;
  for (; next < text.size(); ++next) {
    const char c = text[next];
    std::uint32_t digit = 0;
    if (c >= '0' && c <= '9') {
      digit = static_cast<std::uint32_t>(c - '0');
    } else if (is_hex && ((c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F'))) {
      digit = static_cast<std::uint32_t>((c | 0x20) - 'a' + 10);
    } else {
      break;
    }
    if (code <= 0x10ffff) code = code * (is_hex ? 16 : 10) + digit;
  }
  if (next == first_digit) return at;
  append_number(out, code);
  return next < text.size() && text[next] == ';' ? next + 1 : next;
}

// `&name…` at `at`; returns the offset behind what was decoded, or `at` when no name begins there.
std::size_t decode_name(const Vocabulary& table, std::string_view text, std::size_t at, std::string& out) {
  std::size_t end = at + 1;
  for (std::size_t count = 0; count < kLongestName && end < text.size(); ++count) {
    const char c = text[end];
    if (c == '\t' || c == '\n' || c == '\f' || c == ' ' || c == '<' || c == '&' || c == '#' || c == ';')
      break;
    end += decode_at(text, end).length;
  }
  if (end < text.size() && text[end] == ';' && end > at + 1) ++end;
  const std::string_view name = text.substr(at + 1, end - at - 1);
  for (std::size_t length = name.size(); length > 1; --length) {
    if (const auto value = find_entity(table, name.substr(0, length))) {
      out += *value;
      return at + 1 + length;
    }
  }
  return at;
}

}  // namespace

char32_t windows_1252(char32_t control) {
  return kWindows1252[control - 0x80];
}

std::string decode_html_entities(std::string_view text) {
  std::size_t ampersand = text.find('&');
  if (ampersand == std::string_view::npos) return std::string(text);
  const Vocabulary table = vocabulary();
  std::string out;
  std::size_t copied = 0;
  while (ampersand != std::string_view::npos && ampersand + 1 < text.size()) {
    out += text.substr(copied, ampersand - copied);
    copied = text[ampersand + 1] == '#' ? decode_number(text, ampersand, out)
                                        : decode_name(table, text, ampersand, out);
    const bool decoded = copied != ampersand;
    ampersand = text.find('&', decoded ? copied : ampersand + 1);
  }
  out += text.substr(copied);
  return out;
}

}  // namespace lowrank::prompt
