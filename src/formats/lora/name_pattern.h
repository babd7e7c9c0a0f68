// The patterns of PEFT's `alpha_pattern` and `rank_pattern`: regular expressions for the end of a layer's
// name. Matched by stepping through all readings at once, never by backtracking, so the work is at most
// letters times places and is counted; a file's patterns share one allowance.
//
// Understood: letters, `.`, `\d \w \s` and their opposites, escaped letters, `[…]`, `(…)`, `(?:…)`, `|`, `^`, `$`,
// `* + ? {m} {m,} {m,n}` (also lazy: what matches is the same). Source: PEFT 0.21, get_pattern_key, which asks
// Python's re.match for `(.*\.)?(PATTERN)$`.
#pragma once

#include <array>
#include <bitset>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace lowrank::formats {

// What the patterns of one file may still cost.
struct PatternAllowance {
  std::int64_t places = 200'000;    // of all compiled patterns together
  std::int64_t steps = 20'000'000;  // of all comparisons together
};

class NamePattern {
 public:
  // Throws Error(kBadInput) whose text is only the reason, with the pattern: the caller adds the file.
  NamePattern(const std::string& text, PatternAllowance& allowance);

  // Whether `name` as a whole, or what follows one of its dots, matches. Throws as the constructor when the
  // allowance is used up.
  bool matches(std::string_view name, PatternAllowance& allowance) const;

 private:
  enum class Op : std::uint8_t { kLetters, kSplit, kJump, kStart, kEnd, kMatch };
  struct Place {
    Op op = Op::kMatch;
    std::uint32_t first = 0, second = 0;  // next places; of kLetters `first` is the set
  };
  class Compiler;
  struct Threads;
  bool ends_plainly(std::string_view name, PatternAllowance& allowance) const;
  void add(Threads& threads, std::uint32_t place, std::size_t at, std::size_t size) const;

  std::string text_;
  bool is_plain_ = false;  // letters and dots only, as nearly all are: compared without any places
  std::vector<Place> places_;
  std::vector<std::bitset<256>> sets_;
};

}  // namespace lowrank::formats
