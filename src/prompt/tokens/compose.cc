#include "prompt/tokens/compose.h"

#include <algorithm>
#include <array>
#include <cstdint>
#include <iterator>
#include <utility>
#include <vector>

#include "base/text/text.h"

namespace lowrank::prompt {
namespace {

struct TwoParts {
  char32_t code;
  char32_t first;
  char32_t second;  // 0: one part only
};

struct ComposedPair {
  char32_t first;
  char32_t second;
  char32_t code;
};

struct ClassRun {
  char32_t first;
  char32_t last;
  std::uint8_t combining_class;
};

#include "prompt/tokens/normalization_tables.inc"

// The syllables of Hangul are made by arithmetic: consonant, vowel and perhaps a last consonant.
constexpr char32_t kSyllable = 0xac00, kLead = 0x1100, kVowel = 0x1161, kTail = 0x11a7;
constexpr char32_t kLeads = 19, kVowels = 21, kTails = 28, kSyllables = kLeads * kVowels * kTails;

struct Character {
  char32_t code;
  int combining_class;
};

int combining_class(char32_t code) {
  if (code < 0x300) return 0;
  const auto after = std::upper_bound(std::begin(kCombiningClasses), std::end(kCombiningClasses), code,
                                      [](char32_t c, const ClassRun& run) { return c < run.first; });
  if (after == std::begin(kCombiningClasses)) return 0;
  const ClassRun& run = *std::prev(after);
  return code <= run.last ? run.combining_class : 0;
}

template <std::size_t N>
const TwoParts* find_parts(const TwoParts (&table)[N], char32_t code) {
  const auto found = std::lower_bound(std::begin(table), std::end(table), code,
                                      [](const TwoParts& row, char32_t c) { return row.code < c; });
  return found != std::end(table) && found->code == code ? &*found : nullptr;
}

void append_decomposed(std::vector<Character>& out, char32_t code) {
  if (code >= kSyllable && code < kSyllable + kSyllables) {
    const char32_t index = code - kSyllable;
    out.push_back({kLead + index / (kVowels * kTails), 0});
    out.push_back({kVowel + index / kTails % kVowels, 0});
    if (index % kTails != 0) out.push_back({kTail + index % kTails, 0});
  } else if (const TwoParts* parts = code < 0xc0 ? nullptr : find_parts(kDecompositions, code)) {
    append_decomposed(out, parts->first);
    if (parts->second != 0) append_decomposed(out, parts->second);
  } else {
    out.push_back({code, combining_class(code)});
  }
}

// Marks behind a letter stand in the order of their classes, those of one class as they came.
void order_marks(std::vector<Character>& text) {
  for (auto at = text.begin(); at != text.end();) {
    if (at->combining_class == 0) {
      ++at;
      continue;
    }
    const auto end = std::find_if(at, text.end(), [](const Character& c) { return c.combining_class == 0; });
    std::stable_sort(at, end, [](const Character& a, const Character& b) {
      return a.combining_class < b.combining_class;
    });
    at = end;
  }
}

char32_t composed(char32_t first, char32_t second) {  // 0: there is no such character
  if (first >= kLead && first < kLead + kLeads && second >= kVowel && second < kVowel + kVowels)
    return kSyllable + ((first - kLead) * kVowels + (second - kVowel)) * kTails;
  if (first >= kSyllable && first < kSyllable + kSyllables && (first - kSyllable) % kTails == 0 &&
      second > kTail && second < kTail + kTails)
    return first + (second - kTail);
  const std::pair key(first, second);
  const auto found = std::lower_bound(
      std::begin(kCompositions), std::end(kCompositions), key,
      [](const ComposedPair& row, const auto& pair) { return std::pair(row.first, row.second) < pair; });
  const bool is_there = found != std::end(kCompositions) && std::pair(found->first, found->second) == key;
  return is_there ? found->code : 0;
}

}  // namespace

std::string compose(std::string_view text) {
  if (std::ranges::all_of(text, [](char c) { return static_cast<unsigned char>(c) < 0x80; }))
    return std::string(text);
  std::vector<Character> characters;
  characters.reserve(text.size());
  for (std::size_t at = 0; at < text.size();) {
    const Decoded c = decode_at(text, at);
    append_decomposed(characters, c.code);
    at += c.length;
  }
  order_marks(characters);

  // Each character joins the last starter unless a character between them has its class or a higher one.
  std::vector<Character> out;
  out.reserve(characters.size());
  std::size_t starter = characters.size();
  for (const Character& c : characters) {
    if (starter < out.size()) {
      const bool is_next = out.size() == starter + 1;
      const bool is_free = is_next || out.back().combining_class < c.combining_class;
      if (const char32_t code = is_free ? composed(out[starter].code, c.code) : 0) {
        out[starter].code = code;
        continue;
      }
    }
    if (c.combining_class == 0) starter = out.size();
    out.push_back(c);
  }
  std::string composed_text;
  composed_text.reserve(text.size());
  for (const Character& c : out) append_utf8(composed_text, c.code);
  return composed_text;
}

std::string standard_width(char32_t code) {
  std::string out;
  if (code == 0x3000) {
    out = " ";
  } else if (const TwoParts* form = code < 0xff01 ? nullptr : find_parts(kWidthForms, code)) {
    append_utf8(out, form->first);
    if (form->second != 0) append_utf8(out, form->second);
  }
  return out;
}

}  // namespace lowrank::prompt
