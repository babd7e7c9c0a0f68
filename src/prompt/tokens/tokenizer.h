// The byte-pair encoder of CLIP: text to token ids, without start and end tokens and without truncation.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace lowrank::prompt {

// A view of the vocabulary inside the program. Making one reads a header of a few bytes and allocates
// nothing. Immutable, cheap to copy, safe to share between threads.
class Tokenizer {
 public:
  static constexpr int kStart = 49406;
  static constexpr int kEnd = 49407;
  static constexpr int kComma = 267;  // `,` at the end of a word
  static constexpr int kSize = 49408;

  Tokenizer();

  // The text is cleaned (clean_text.h), whitespace runs become one gap, letters are lower-cased;
  // `<|startoftext|>` and `<|endoftext|>` give their ids. Ill-formed UTF-8 is read as U+FFFD. Every result is
  // in [0, kSize). Source: the slow CLIPTokenizer of transformers 4.30.2 where ftfy is installed, but for
  // ftfy's repair of mojibake. Time: n log n.
  std::vector<int> encode(std::string_view text) const;

  // The same for a well-formed text that is clean already.
  std::vector<int> encode_clean(std::string_view text) const;

  // The bytes a token stands for, with a trailing blank when it ends a word. Bytes of one token need not be
  // whole UTF-8. "" for an id outside [0, kSize).
  std::string token_text(int id) const;

 private:
  // A word, already bytes, as token ids: merges of lowest rank first, all their occurrences from left to
  // right.
  void encode_word(std::string_view word, std::vector<int>& out) const;
  int merge(int left, int right) const;  // id of the merged token, −1 when there is no such merge

  std::span<const std::uint16_t> pairs_;    // merge k joins pairs_[2k] and pairs_[2k+1] into token 512 + k
  std::span<const std::uint16_t> by_left_;  // merge numbers ordered by (left, right)
  std::span<const std::uint16_t>
      row_start_;  // merges with this left token: by_left_[row_start_[l] … row_start_[l+1])
};

}  // namespace lowrank::prompt
