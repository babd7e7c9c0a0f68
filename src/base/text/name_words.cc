#include "base/text/name_words.h"

namespace lowrank {

std::vector<std::string> words_of(std::string_view text) {
  std::vector<std::string> words(1);
  char before = 0;
  for (const char c : text) {
    const bool is_lower = c >= 'a' && c <= 'z', is_upper = c >= 'A' && c <= 'Z',
               is_digit = c >= '0' && c <= '9';
    if (is_upper && before >= 'a' && before <= 'z') words.emplace_back();
    if (is_lower || is_upper || is_digit) {
      words.back() += is_upper ? static_cast<char>(c + 32) : c;
    } else if (!words.back().empty()) {
      words.emplace_back();
    }
    before = c;
  }
  return words;
}

}  // namespace lowrank
