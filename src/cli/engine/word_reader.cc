#include "cli/engine/word_reader.h"

#include "base/error.h"
#include "base/text/text.h"

namespace lowrank::cli {

bool WordReader::next() {
  flag_.clear();
  has_attached_ = false;
  if (place_ < words_.size() && !options_ended_ && words_[place_] == "--") {
    options_ended_ = true;
    ++place_;
  }
  if (place_ == words_.size()) return false;
  const std::string& word = words_[place_++];
  if (options_ended_ || !word.starts_with("--")) return true;
  const auto equals = word.find('=');
  flag_ = word.substr(2, equals == std::string::npos ? equals : equals - 2);
  has_attached_ = equals != std::string::npos;
  if (has_attached_) attached_ = word.substr(equals + 1);
  return true;
}

std::string WordReader::value() {
  if (has_attached_) return attached_;
  if (place_ == words_.size()) throw Error(kBadInput, "--{} needs a value behind it.", flag_);
  return words_[place_++];
}

int WordReader::whole_number(int low, int high) {
  return cli::whole_number(flag_, value(), low, high);
}

void WordReader::refuse() const {
  throw Error(kBadInput, "'{}' is no option of {}; 'lowrank {} --help' lists them.", word(), command_,
              command_);
}

int whole_number(std::string_view flag, std::string_view text, int low, int high) {
  const auto number = parse_integer(text);
  if (!number || *number < low || *number > high)
    throw Error(kBadInput, "--{} is '{}', but must be a whole number between {} and {}.", flag, text, low,
                high);
  return *number;
}

}  // namespace lowrank::cli
