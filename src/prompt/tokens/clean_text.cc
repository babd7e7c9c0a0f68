#include "prompt/tokens/clean_text.h"

#include <algorithm>
#include <cstddef>
#include <iterator>

#include "base/text/text.h"
#include "prompt/tokens/compose.h"
#include "prompt/tokens/html_entities.h"

namespace lowrank::prompt {
namespace {

constexpr std::size_t kLongestEntity = 24;  // letters and digits between `&` or `&#` and `;`
// Each round is one walk over the line and undoes all that is nested in one kind of disguise. Ordinary text is
// done after two; only text made to be slow wants more than this.
constexpr int kMostRounds = 16;

bool is_ascii_alphanumeric(char c) {
  return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z');
}

// Letters whose capital is lowered to another letter. Every text is lowered after it was cleaned, so an entity
// in capitals (`&EACUTE;`) needs no other capitals.
std::string through_capital(std::string_view text) {
  struct Row {
    std::string_view letter, lowered;
  };
  constexpr Row kRows[] = {{"µ", "μ"},  {"ß", "ss"}, {"ı", "i"},  {"ŉ", "ʼn"},  {"ς", "Σ"},  {"σ", "Σ"},
                           {"ϑ", "θ"},  {"ϕ", "φ"},  {"ϖ", "π"},  {"ϰ", "κ"},   {"ϱ", "ρ"},  {"ϵ", "ε"},
                           {"ﬀ", "ff"}, {"ﬁ", "fi"}, {"ﬂ", "fl"}, {"ﬃ", "ffi"}, {"ﬄ", "ffl"}};
  for (const Row& row : kRows)
    if (text == row.letter) return std::string(row.lowered);
  return std::string(text);
}

// What `entity` ("&amp;") stands for; itself when nothing.
std::string entity_value(const std::string& entity) {
  const std::string value = decode_html_entities(entity);
  if (entity[1] == '#') return value.find(';') == std::string::npos ? value : entity;
  // Names decode only as a whole, `&notit;` does not.
  if (value != entity) return value.ends_with(';') && entity != "&semi;" ? entity : value;
  std::string small = entity;
  for (char& c : small) {
    if (c >= 'a' && c <= 'z') return entity;
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c | 0x20);
  }
  const std::string small_value = decode_html_entities(small);
  if (small_value == small || (small_value.ends_with(';') && small != "&semi;")) return entity;
  return through_capital(small_value);
}

// Where the entity begins that the semicolon at the end of `text` ends; npos when there is none.
std::size_t entity_begin(std::string_view text) {
  const std::size_t end = text.size() - 1;
  std::size_t begin = end;
  while (begin > 0 && end - begin < kLongestEntity && is_ascii_alphanumeric(text[begin - 1])) --begin;
  if (begin == end || begin == 0) return std::string_view::npos;
  --begin;
  if (text[begin] == '#' && begin > 0) --begin;
  return text[begin] == '&' ? begin : std::string_view::npos;
}

// Entities from left to right; what one gives may begin or end another: `&amp;lt;` is `<`.
std::string unescape(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  for (const char c : text) {
    out += c;
    while (out.ends_with(';')) {
      const std::size_t begin = entity_begin(out);
      if (begin == std::string::npos) break;
      const std::string entity = out.substr(begin), value = entity_value(entity);
      if (value == entity) break;
      out.resize(begin);
      out += value;
    }
  }
  return out;
}

bool is_removed(char32_t code) {
  return code < 0x9 || code == 0xb || (code >= 0xe && code < 0x20) || code == 0x7f ||
         (code >= 0x206a && code <= 0x206f) || code == 0xfeff || (code >= 0xfff9 && code <= 0xfffc);
}

struct Ligature {
  char32_t code;
  std::string_view letters;
};

// Latin ligatures and digraphs; those that are letters of a language (æ, œ) stay. The apostrophe of ŉ is curly
// and therefore straight in the end.
constexpr Ligature kLigatures[] = {
    {U'Ĳ', "IJ"},  {U'ĳ', "ij"},  {U'ŉ', "'n"}, {U'Ǆ', "DŽ"}, {U'ǅ', "Dž"}, {U'ǆ', "dž"},
    {U'Ǉ', "LJ"},  {U'ǈ', "Lj"},  {U'ǉ', "lj"}, {U'Ǌ', "NJ"}, {U'ǋ', "Nj"}, {U'ǌ', "nj"},
    {U'Ǳ', "DZ"},  {U'ǲ', "Dz"},  {U'ǳ', "dz"}, {U'ﬀ', "ff"}, {U'ﬁ', "fi"}, {U'ﬂ', "fl"},
    {U'ﬃ', "ffi"}, {U'ﬄ', "ffl"}, {U'ﬅ', "ſt"}, {U'ﬆ', "st"},
};

std::string_view letters_of_ligature(char32_t code) {  // "" for any other character
  const auto row = std::ranges::find(kLigatures, code, &Ligature::code);
  return row == std::end(kLigatures) ? std::string_view() : row->letters;
}

// One character as it shall be; the later steps see what the earlier ones gave.
void append_plain(std::string& out, char32_t code) {
  if (code >= 0x80 && code <= 0x9f) code = windows_1252(code);
  if (const std::string_view letters = letters_of_ligature(code); !letters.empty()) {
    out += letters;
  } else if (const std::string usual = standard_width(code); !usual.empty()) {
    out += usual;
  } else if (code == 0x2bc || (code >= 0x2018 && code <= 0x201b)) {
    out += '\'';
  } else if (code >= 0x201c && code <= 0x201f) {
    out += '"';
  } else if (code == 0x2028 || code == 0x2029) {
    out += '\n';
  } else {
    append_utf8(out, code);
  }
}

std::string plain_characters(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  for (std::size_t at = 0; at < text.size();) {
    const Decoded c = decode_at(text, at);
    at += c.length;
    if (c.code == '\r') {
      if (at < text.size() && text[at] == '\n') continue;
      out += '\n';
    } else {
      append_plain(out, c.code);
    }
  }
  return out;
}

// Length of a sequence that colours a terminal's text ("ESC [ 3 1 m") at `at`, 0 when there is none.
std::size_t terminal_sequence(std::string_view text, std::size_t at) {
  if (!text.substr(at).starts_with("\x1b[")) return 0;
  std::size_t end = at + 2;
  while (end < text.size()) {
    const Decoded c = decode_at(text, end);
    if (c.code != ';' && !digit_value(c.code)) break;
    end += c.length;
  }
  const bool is_letter = end < text.size() && ((text[end] | 0x20) >= 'a' && (text[end] | 0x20) <= 'z');
  return is_letter ? end + 1 - at : 0;
}

std::string without_controls(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  for (std::size_t at = 0; at < text.size();) {
    if (const std::size_t length = terminal_sequence(text, at)) {
      at += length;
      continue;
    }
    const Decoded c = decode_at(text, at);
    if (!is_removed(c.code)) out += text.substr(at, c.length);
    at += c.length;
  }
  return out;
}

std::string clean_line(std::string line, bool unescapes) {
  for (int round = 0; round < kMostRounds; ++round) {
    std::string next = unescapes ? unescape(line) : line;
    next = compose(without_controls(plain_characters(next)));
    if (next == line) break;
    line = std::move(next);
  }
  return line;
}

}  // namespace

std::string clean_text(std::string_view text) {
  std::string out;
  bool unescapes = true;
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t end = std::min(text.find('\n', at), text.size() - 1) + 1;
    const std::string_view line = text.substr(at, end - at);
    unescapes = unescapes && line.find('<') == std::string_view::npos;
    out += clean_line(std::string(line), unescapes);
    at = end;
  }
  return out;
}

}  // namespace lowrank::prompt
