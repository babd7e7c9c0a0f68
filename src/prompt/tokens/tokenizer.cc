#include "prompt/tokens/tokenizer.h"

#include <array>
#include <queue>
#include <utility>

#include "base/error.h"
#include "base/text/text.h"
#include "prompt/tokens/clean_text.h"
#include "prompt/tokens/vocabulary_blob.h"

namespace lowrank::prompt {
namespace {

constexpr std::string_view kStartText = "<|startoftext|>", kEndText = "<|endoftext|>";
constexpr int kWordEnd = 256;      // added to a byte's token where the byte ends a word
constexpr int kFirstMerged = 512;  // token of merge 0

// Tokens 0 … 255 are the bytes: the visible characters of Latin-1 first, then the other bytes in order.
constexpr bool is_visible(int byte) {
  return (byte >= 33 && byte <= 126) || (byte >= 161 && byte <= 172) || byte >= 174;
}

constexpr std::array<unsigned char, 256> kByteOfToken = [] {
  std::array<unsigned char, 256> bytes{};
  std::size_t token = 0;
  for (const bool visible : {true, false}) {
    for (int byte = 0; byte < 256; ++byte) {
      if (is_visible(byte) == visible) bytes[token++] = static_cast<unsigned char>(byte);
    }
  }
  return bytes;
}();

constexpr std::array<std::uint8_t, 256> kTokenOfByte = [] {
  std::array<std::uint8_t, 256> tokens{};
  for (std::size_t token = 0; token < 256; ++token)
    tokens[kByteOfToken[token]] = static_cast<std::uint8_t>(token);
  return tokens;
}();

// Runs of White_Space become one blank, the ends are trimmed.
std::string collapse_space(std::string_view text) {
  std::string out;
  bool gap = false;
  for (std::size_t at = 0; at < text.size();) {
    const Decoded c = decode_at(text, at);
    if (is_white_space(c.code)) {
      gap = true;
    } else {
      if (gap && !out.empty()) out += ' ';
      gap = false;
      out += text.substr(at, c.length);
    }
    at += c.length;
  }
  return out;
}

// Length of 's 't 're 've 'm 'll 'd at the beginning, 0 when there is none. ſ counts as s: the pattern
// ignores case.
std::size_t contraction_length(std::string_view text) {
  for (const std::string_view ending : {"'s", "'\u017f", "'t", "'re", "'ve", "'m", "'ll", "'d"}) {
    if (text.starts_with(ending)) return ending.size();
  }
  return 0;
}

enum class Kind { kSpace, kLetter, kNumber, kOther };

// The mark U+0345 falls out like a blank: it is no letter, and because the reference's pattern ignores case
// and its upper-case form is the letter Ι, it is no other character either.
Kind kind_of(char32_t code) {
  if (is_white_space(code) || code == 0x345) return Kind::kSpace;
  if (is_letter(code)) return Kind::kLetter;
  return is_number(code) ? Kind::kNumber : Kind::kOther;
}

// End of the word that begins at `at`: letters together, numbers one by one, other characters together. A
// word of other characters runs over quotes and special tokens inside it, as the pattern does.
std::size_t word_end(std::string_view text, std::size_t at) {
  if (const std::size_t length = contraction_length(text.substr(at))) return at + length;
  const Decoded first = decode_at(text, at);
  const Kind kind = kind_of(first.code);
  std::size_t end = at + first.length;
  if (kind == Kind::kNumber) return end;
  while (end < text.size()) {
    const Decoded c = decode_at(text, end);
    if (kind_of(c.code) != kind) break;
    end += c.length;
  }
  return end;
}

}  // namespace

Tokenizer::Tokenizer() {
  const Vocabulary table = vocabulary();
  LOWRANK_CHECK(table.by_left.size() + kFirstMerged == kStart);
  pairs_ = table.pairs;
  by_left_ = table.by_left;
  row_start_ = table.row_start;
}

int Tokenizer::merge(int left, int right) const {
  std::size_t low = row_start_[static_cast<std::size_t>(left)];
  std::size_t high = row_start_[static_cast<std::size_t>(left) + 1];
  while (low < high) {
    const std::size_t middle = (low + high) / 2;
    const std::uint16_t number = by_left_[middle];
    const int candidate = pairs_[2 * std::size_t{number} + 1];
    if (candidate == right) return kFirstMerged + number;
    if (candidate < right) {
      low = middle + 1;
    } else {
      high = middle;
    }
  }
  return -1;
}

void Tokenizer::encode_word(std::string_view word, std::vector<int>& out) const {
  struct Symbol {
    int token;  // −1 once merged into its left neighbour
    int previous;
    int next;
  };
  const int count = static_cast<int>(word.size());
  std::vector<Symbol> symbols(word.size());
  for (int i = 0; i < count; ++i) {
    const auto byte = static_cast<unsigned char>(word[static_cast<std::size_t>(i)]);
    symbols[static_cast<std::size_t>(i)] = {kTokenOfByte[byte] + (i + 1 == count ? kWordEnd : 0), i - 1,
                                            i + 1 == count ? -1 : i + 1};
  }
  const auto at = [&](int i) -> Symbol& { return symbols[static_cast<std::size_t>(i)]; };

  // Candidates as (merged token, position): the token number orders merges by rank. Stale ones are recognised
  // when they come up, because their pair no longer gives the same token.
  using Candidate = std::pair<int, int>;
  std::priority_queue<Candidate, std::vector<Candidate>, std::greater<>> queue;
  const auto offer = [&](int position, std::vector<Candidate>* later) {
    if (position < 0 || at(position).next < 0) return;
    const int merged = merge(at(position).token, at(at(position).next).token);
    if (merged < 0) return;
    if (later != nullptr) {
      later->emplace_back(merged, position);
    } else {
      queue.emplace(merged, position);
    }
  };
  for (int i = 0; i < count; ++i) offer(i, nullptr);

  std::vector<Candidate> later;
  while (!queue.empty()) {
    // One round: every occurrence of the lowest merge, left to right; pairs that arise wait for the next
    // round.
    const int round = queue.top().first;
    later.clear();
    while (!queue.empty() && queue.top().first == round) {
      const int position = queue.top().second;
      queue.pop();
      Symbol& left = at(position);
      if (left.token < 0 || left.next < 0 || merge(left.token, at(left.next).token) != round) continue;
      Symbol& right = at(left.next);
      right.token = -1;
      left.token = round;
      left.next = right.next;
      if (left.next >= 0) at(left.next).previous = position;
      offer(left.previous, &later);
      offer(position, &later);
    }
    for (const Candidate& candidate : later) queue.push(candidate);
  }
  for (int i = 0; i >= 0 && i < count; i = at(i).next) out.push_back(at(i).token);
}

// The two special tokens, as they are written, part the text before anything is cleaned.
std::vector<int> Tokenizer::encode(std::string_view text) const {
  const std::string whole = well_formed(text);
  std::vector<int> ids;
  const auto put = [&](std::string_view part) {
    const std::vector<int> more = encode_clean(clean_text(part));
    ids.insert(ids.end(), more.begin(), more.end());
  };
  std::size_t done = 0;
  for (std::size_t at = whole.find("<|"); at != std::string::npos; at = whole.find("<|", at + 1)) {
    const std::string_view rest = std::string_view(whole).substr(at);
    const int token = rest.starts_with(kStartText) ? kStart : rest.starts_with(kEndText) ? kEnd : -1;
    if (token < 0) continue;
    put(std::string_view(whole).substr(done, at - done));
    ids.push_back(token);
    done = at + (token == kStart ? kStartText : kEndText).size();
  }
  put(std::string_view(whole).substr(done));
  return ids;
}

std::vector<int> Tokenizer::encode_clean(std::string_view text) const {
  const std::string clean = lower(collapse_space(trim(text)));
  std::vector<int> ids;
  for (std::size_t at = 0; at < clean.size();) {
    const std::string_view rest = std::string_view(clean).substr(at);
    const Decoded first = decode_at(clean, at);
    if (kind_of(first.code) == Kind::kSpace) {
      at += first.length;
    } else if (rest.starts_with(kStartText)) {
      ids.push_back(kStart);
      at += kStartText.size();
    } else if (rest.starts_with(kEndText)) {
      ids.push_back(kEnd);
      at += kEndText.size();
    } else {
      const std::size_t end = word_end(clean, at);
      encode_word(rest.substr(0, end - at), ids);
      at = end;
    }
  }
  return ids;
}

std::string Tokenizer::token_text(int id) const {
  if (id < 0 || id >= kSize) return {};
  if (id == kStart) return std::string(kStartText);
  if (id == kEnd) return std::string(kEndText);
  if (id >= kFirstMerged) {
    const auto pair = 2 * static_cast<std::size_t>(id - kFirstMerged);
    return token_text(pairs_[pair]) + token_text(pairs_[pair + 1]);
  }
  std::string text(1, static_cast<char>(kByteOfToken[static_cast<std::size_t>(id % kWordEnd)]));
  if (id >= kWordEnd) text += ' ';
  return text;
}

}  // namespace lowrank::prompt
