#include "formats/natural_order.h"

#include <cstddef>

namespace lowrank::formats {
namespace {

bool is_digit(char letter) {
  return letter >= '0' && letter <= '9';
}

char small_letter(char letter) {
  return letter >= 'A' && letter <= 'Z' ? static_cast<char>(letter - 'A' + 'a') : letter;
}

std::string_view consume_digits(std::string_view text, std::size_t& at) {
  while (at < text.size() && text[at] == '0') ++at;
  const std::size_t begin = at;
  while (at < text.size() && is_digit(text[at])) ++at;
  return text.substr(begin, at - begin);
}

}  // namespace

bool natural_less(std::string_view a, std::string_view b) {
  std::size_t i = 0, j = 0;
  while (i < a.size() && j < b.size()) {
    if (is_digit(a[i]) && is_digit(b[j])) {
      const std::string_view left = consume_digits(a, i), right = consume_digits(b, j);
      if (left.size() != right.size()) return left.size() < right.size();
      if (left != right) return left < right;
      continue;
    }
    // A folder's own entries come before those of a folder whose name goes on.
    const auto rank = [](char letter) {
      return letter == '/' ? 0 : static_cast<unsigned char>(small_letter(letter));
    };
    if (rank(a[i]) != rank(b[j])) return rank(a[i]) < rank(b[j]);
    ++i;
    ++j;
  }
  if (i < a.size() || j < b.size()) return i == a.size();
  return a < b;
}

std::string natural_key(std::string_view name) {
  std::string key;
  for (std::size_t i = 0; i < name.size();) {
    if (is_digit(name[i])) {
      // A run of digits: the mark '0', its length without leading zeros in base 255 (longer is more), its
      // digits.
      const std::string_view digits = consume_digits(name, i);
      key += '0';
      for (std::size_t length = digits.size();; length -= 254) {
        key += static_cast<char>(length >= 255 ? 255 : length);
        if (length < 255) break;
      }
      key += digits;
      continue;
    }
    // Zero is kept for the end of the name, so that a name comes before those that go on.
    if (name[i] == '/') {
      key += "\x01\x01";
    } else if (name[i] == '\x01') {
      key += "\x01\x02";
    } else {
      key += small_letter(name[i]);
    }
    ++i;
  }
  key += '\0';
  key += name;
  return key;
}

}  // namespace lowrank::formats
