#include "formats/hashes.h"

#include <algorithm>

#include "base/sha256.h"

namespace lowrank::formats {
namespace {

std::string digits(std::string hex, std::size_t count) {
  hex.resize(count);
  return hex;
}

char lower_letter(char letter) {
  return letter >= 'A' && letter <= 'Z' ? static_cast<char>(letter - 'A' + 'a') : letter;
}

}  // namespace

std::string auto_v1(std::span<const std::byte> file) {
  constexpr std::size_t kOffset = 0x100000, kLength = 0x10000;
  const std::size_t begin = std::min(kOffset, file.size());
  return digits(sha256_hex(file.subspan(begin, std::min(kLength, file.size() - begin))), 8);
}

std::string auto_v2(std::span<const std::byte> file) {
  return digits(sha256_hex(file), 10);
}

std::string addnet_hash(const weights::TensorFile& file) {
  return sha256_hex(file.file_bytes().subspan(file.data_offset()));
}

std::string auto_v3(const weights::TensorFile& file) {
  return digits(addnet_hash(file), 12);
}

bool states_auto_v3(std::string_view sshs_model_hash) {
  return sshs_model_hash.size() >= 12 &&
         sshs_model_hash.find_first_not_of("0123456789abcdefABCDEF") == std::string_view::npos;
}

bool same_hash(std::string_view a, std::string_view b) {
  const std::size_t length = std::min(a.size(), b.size());
  if (length < 8) return false;
  return std::equal(a.begin(), a.begin() + static_cast<std::ptrdiff_t>(length), b.begin(),
                    [](char x, char y) { return lower_letter(x) == lower_letter(y); });
}

}  // namespace lowrank::formats
