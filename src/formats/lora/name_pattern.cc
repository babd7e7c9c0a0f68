#include "formats/lora/name_pattern.h"

#include <algorithm>
#include <cctype>
#include <utility>

#include "base/error.h"

namespace lowrank::formats {
namespace {

using Letters = std::bitset<256>;

constexpr std::size_t kMaxPatternBytes = 512;
constexpr int kMaxPatternDepth = 50;
constexpr int kMaxRepeat = 1'000;

Letters letters_where(auto&& is_member) {
  Letters set;
  for (int letter = 0; letter < 256; ++letter)
    if (is_member(letter)) set.set(static_cast<std::size_t>(letter));
  return set;
}

std::size_t place_of(char letter) {
  return static_cast<unsigned char>(letter);
}

}  // namespace

// Recursive descent, one fragment at a time. A fragment is a run of places that ends where it falls through.
class NamePattern::Compiler {
 public:
  Compiler(NamePattern& pattern, PatternAllowance& allowance) : pattern_(pattern), allowance_(allowance) {}

  void run() {
    alternatives(0);
    if (at_ < text().size()) fail("has an unmatched ')'");
    emit({Op::kEnd});
    emit({Op::kMatch});
  }

  [[noreturn]] void fail(std::string_view why) const {
    throw Error(kBadInput, "the pattern '{}' {}", text().substr(0, 80), why);
  }

 private:
  const std::string& text() const { return pattern_.text_; }
  bool is_at(char letter) const { return at_ < text().size() && text()[at_] == letter; }
  bool take(char letter) {
    if (!is_at(letter)) return false;
    ++at_;
    return true;
  }
  std::uint32_t here() const { return static_cast<std::uint32_t>(pattern_.places_.size()); }
  std::uint32_t emit(Place place) {
    if (--allowance_.places < 0) fail("and those before it are too large together");
    pattern_.places_.push_back(place);
    return here() - 1;
  }

  void alternatives(int depth) {
    if (depth > kMaxPatternDepth) fail("is nested too deeply");
    const std::uint32_t begin = here();
    sequence(depth);
    std::vector<std::uint32_t> ends;
    while (take('|')) {
      // What stands so far becomes the first way of a split in front of it.
      insert(begin, {Op::kSplit, begin + 1, 0});
      for (auto& end : ends) ++end;
      ends.push_back(emit({Op::kJump}));
      pattern_.places_[begin].second = here();
      sequence(depth);
    }
    for (const auto end : ends) pattern_.places_[end].first = here();
  }

  void sequence(int depth) {
    while (at_ < text().size() && !is_at('|') && !is_at(')')) repeated(depth);
  }

  void repeated(int depth) {
    const std::uint32_t begin = here();
    single(depth);
    for (;;) {
      int low = 0, high = 0;  // high −1: no end
      if (take('*')) {
        high = -1;
      } else if (take('+')) {
        low = 1, high = -1;
      } else if (take('?')) {
        high = 1;
      } else if (!parse_counts(low, high)) {
        return;
      }
      take('?');
      repeat(begin, low, high);
    }
  }

  // `{m}`, `{m,}`, `{,n}`, `{m,n}`; anything else in braces is taken letter by letter, as Python does.
  bool parse_counts(int& low, int& high) {
    if (!is_at('{')) return false;
    const std::size_t start = at_++;
    const auto number = [&](int otherwise) {
      int value = 0;
      bool has_digits = false;
      while (at_ < text().size() && std::isdigit(static_cast<unsigned char>(text()[at_]))) {
        value = std::min(value * 10 + (text()[at_++] - '0'), kMaxRepeat + 1);
        has_digits = true;
      }
      return has_digits ? value : otherwise;
    };
    low = number(0);
    const bool has_low = at_ > start + 1;
    const bool has_comma = take(',');
    high = has_comma ? number(-1) : low;
    if (!take('}') || (!has_low && !has_comma)) {
      at_ = start;
      return false;
    }
    if (low > kMaxRepeat || high > kMaxRepeat) fail("repeats more than 1,000 times");
    if (high >= 0 && high < low) fail("has a repeat range in the wrong order");
    return true;
  }

  // Makes the fragment from `begin` to here one that occurs `low` to `high` times.
  void repeat(std::uint32_t begin, int low, int high) {
    const std::vector<Place> once(pattern_.places_.begin() + begin, pattern_.places_.end());
    pattern_.places_.resize(begin);
    allowance_.places += static_cast<std::int64_t>(once.size());
    for (int i = 0; i < low; ++i) append(once, begin);
    if (high < 0) {
      const std::uint32_t split = emit({Op::kSplit, here() + 1, 0});
      append(once, begin);
      emit({Op::kJump, split});
      pattern_.places_[split].second = here();
      return;
    }
    std::vector<std::uint32_t> exits;
    for (int i = low; i < high; ++i) {
      exits.push_back(emit({Op::kSplit, here() + 1, 0}));
      append(once, begin);
    }
    for (const auto place : exits) pattern_.places_[place].second = here();
  }

  void append(const std::vector<Place>& fragment, std::uint32_t written_at) {
    const std::uint32_t shift = here() - written_at;
    for (Place place : fragment) {
      if (place.op == Op::kSplit) place.second += shift;
      if (place.op == Op::kSplit || place.op == Op::kJump) place.first += shift;
      emit(place);
    }
  }

  void insert(std::uint32_t begin, Place place) {
    if (--allowance_.places < 0) fail("and those before it are too large together");
    for (std::uint32_t i = begin; i < here(); ++i) {
      Place& moved = pattern_.places_[i];
      if (moved.op == Op::kSplit) ++moved.second;
      if (moved.op == Op::kSplit || moved.op == Op::kJump) ++moved.first;
    }
    pattern_.places_.insert(pattern_.places_.begin() + begin, place);
  }

  void single(int depth) {
    const char letter = text()[at_++];
    switch (letter) {
      case '(':
        if (is_at('?')) {
          ++at_;
          if (!take(':')) fail("uses '(?', but only '(?:' is supported");
        }
        alternatives(depth + 1);
        if (!take(')')) fail("lacks a ')'");
        return;
      case '[':
        return set_of(bracket());
      case '.':
        return set_of(~Letters().set(place_of('\n')));
      case '\\':
        return set_of(escaped());
      case '^':
        emit({Op::kStart});
        return;
      case '$':
        emit({Op::kEnd});
        return;
      case '*':
      case '+':
      case '?':
        fail("repeats nothing");
      default:
        return set_of(Letters().set(place_of(letter)));
    }
  }

  void set_of(const Letters& letters) {
    const auto known = std::find(pattern_.sets_.begin(), pattern_.sets_.end(), letters);
    const auto index = static_cast<std::uint32_t>(known - pattern_.sets_.begin());
    if (known == pattern_.sets_.end()) pattern_.sets_.push_back(letters);
    emit({Op::kLetters, index});
  }

  Letters escaped() {
    if (at_ == text().size()) fail("ends in a backslash");
    const char letter = text()[at_++];
    const auto is_word = [](int c) { return c < 128 && (std::isalnum(c) || c == '_'); };
    switch (letter) {
      case 'd':
        return letters_where([](int c) { return c < 128 && std::isdigit(c); });
      case 'D':
        return letters_where([](int c) { return c >= 128 || !std::isdigit(c); });
      case 'w':
        return letters_where(is_word);
      case 'W':
        return letters_where([&](int c) { return !is_word(c); });
      case 's':
        return letters_where([](int c) { return c < 128 && std::isspace(c); });
      case 'S':
        return letters_where([](int c) { return c >= 128 || !std::isspace(c); });
      default:
        if (std::isalnum(static_cast<unsigned char>(letter))) fail("has an unsupported escape");
        return Letters().set(place_of(letter));
    }
  }

  Letters bracket() {
    const bool is_opposite = take('^');
    Letters set;
    for (bool is_first = true; is_first || !is_at(']'); is_first = false) {
      if (at_ >= text().size()) fail("lacks a ']'");
      const char low = text()[at_++];
      if (low == '\\') {
        set |= escaped();
        continue;
      }
      if (is_at('-') && at_ + 1 < text().size() && text()[at_ + 1] != ']') {
        const char high = text()[at_ + 1];
        if (high == '\\' || place_of(high) < place_of(low)) fail("has a range in the wrong order");
        at_ += 2;
        for (std::size_t c = place_of(low); c <= place_of(high); ++c) set.set(c);
        continue;
      }
      set.set(place_of(low));
    }
    ++at_;
    return is_opposite ? ~set : set;
  }

  NamePattern& pattern_;
  PatternAllowance& allowance_;
  std::size_t at_ = 0;
};

// The places that are reached at one letter, each once.
struct NamePattern::Threads {
  std::vector<std::uint32_t> waiting;  // places that want a letter
  std::vector<std::uint32_t> seen;     // per place the last letter at which it was reached, plus one
  std::vector<std::uint32_t> open;     // a stack
  std::int64_t steps = 0;
  bool is_matched = false;
};

NamePattern::NamePattern(const std::string& text, PatternAllowance& allowance) : text_(text) {
  is_plain_ = !text_.empty() && std::ranges::all_of(text_, [](unsigned char letter) {
    return std::isalnum(letter) || letter == '_' || letter == '-' || letter == '.';
  });
  Compiler compiler(*this, allowance);
  if (text_.size() > kMaxPatternBytes) compiler.fail("is longer than 512 bytes");
  if (!is_plain_) compiler.run();
}

bool NamePattern::ends_plainly(std::string_view name, PatternAllowance& allowance) const {
  --allowance.steps;
  if (name.size() < text_.size()) return false;
  const std::size_t begin = name.size() - text_.size();
  if (begin > 0 && name[begin - 1] != '.') return false;
  for (std::size_t i = text_.size(); i-- > 0;) {
    --allowance.steps;
    if (text_[i] != name[begin + i] && text_[i] != '.') return false;
  }
  return true;
}

void NamePattern::add(Threads& threads, std::uint32_t place, std::size_t at, std::size_t size) const {
  threads.open.push_back(place);
  while (!threads.open.empty()) {
    const std::uint32_t next = threads.open.back();
    threads.open.pop_back();
    ++threads.steps;
    if (threads.seen[next] == at + 1) continue;
    threads.seen[next] = static_cast<std::uint32_t>(at + 1);
    const Place& here = places_[next];
    switch (here.op) {
      case Op::kLetters:
        threads.waiting.push_back(next);
        break;
      case Op::kSplit:
        threads.open.push_back(here.second);
        threads.open.push_back(here.first);
        break;
      case Op::kJump:
        threads.open.push_back(here.first);
        break;
      case Op::kStart:
        if (at == 0) threads.open.push_back(next + 1);
        break;
      case Op::kEnd:
        if (at == size) threads.open.push_back(next + 1);
        break;
      case Op::kMatch:
        threads.is_matched = true;
        break;
    }
  }
}

bool NamePattern::matches(std::string_view name, PatternAllowance& allowance) const {
  if (is_plain_) return ends_plainly(name, allowance);
  Threads threads;
  threads.seen.resize(places_.size());
  std::vector<std::uint32_t> before;
  for (std::size_t at = 0;; ++at) {
    // A reading begins at the name's start and behind each of its dots.
    if (at == 0 || name[at - 1] == '.') add(threads, 0, at, name.size());
    allowance.steps -= threads.steps + static_cast<std::int64_t>(before.size()) + 1;
    threads.steps = 0;
    if (allowance.steps < 0)
      throw Error(kBadInput, "the pattern '{}' and those before it are too expensive to match",
                  text_.substr(0, 80));
    if (at == name.size()) return threads.is_matched;
    before.swap(threads.waiting);
    threads.waiting.clear();
    for (const std::uint32_t place : before)
      if (sets_[places_[place].first].test(place_of(name[at]))) add(threads, place + 1, at + 1, name.size());
  }
}

}  // namespace lowrank::formats
