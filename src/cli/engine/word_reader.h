// The words that come through the engine's door, one option after the other. The light side has checked them
// against the command table already; this is for commands without a request of their own.
#pragma once

#include <span>
#include <string>
#include <string_view>

namespace lowrank::cli {

class WordReader {
 public:
  WordReader(std::span<const std::string> words, std::string_view command)
      : words_(words), command_(command) {}

  // Goes on to the next word; false at the end.
  bool next();
  const std::string& flag() const { return flag_; }  // without dashes; "" for a word that is no option
  const std::string& word() const { return words_[place_ - 1]; }
  // The value behind the option, or after its '='. Throws Error(kBadInput) when there is none.
  std::string value();
  int whole_number(int low, int high);
  [[noreturn]] void refuse() const;

 private:
  std::span<const std::string> words_;
  std::string_view command_;
  std::size_t place_ = 0;
  std::string flag_, attached_;
  bool has_attached_ = false, options_ended_ = false;
};

// The value of --flag as a whole number. Throws Error(kBadInput) when it is none, or out of its range.
int whole_number(std::string_view flag, std::string_view text, int low, int high = 1'000'000'000);

}  // namespace lowrank::cli
