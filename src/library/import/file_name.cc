#include "library/import/file_name.h"

#include <algorithm>

namespace lowrank::library {
namespace {

// The length of the well-formed UTF-8 character at the front; 0: none.
std::size_t character_length(std::string_view text) {
  const auto first = static_cast<unsigned char>(text[0]);
  const std::size_t length = first < 0x80   ? 1
                             : first < 0xC2 ? 0
                             : first < 0xE0 ? 2
                             : first < 0xF0 ? 3
                             : first < 0xF5 ? 4
                                            : 0;
  if (length == 0 || length > text.size()) return 0;
  for (std::size_t i = 1; i < length; ++i)
    if ((static_cast<unsigned char>(text[i]) & 0xC0) != 0x80) return 0;
  return length;
}

std::size_t cut_at_character(std::string_view text, std::size_t bytes) {
  while (bytes > 0 && (static_cast<unsigned char>(text[bytes]) & 0xC0) == 0x80) --bytes;
  return bytes;
}

}  // namespace

std::string extension_of(std::string_view name) {
  const auto dot = name.rfind('.');
  if (dot == std::string_view::npos || dot == 0 || dot + 1 == name.size()) return "";
  std::string extension(name.substr(dot));
  std::ranges::transform(extension, extension.begin(),
                         [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; });
  return extension;
}

std::string safe_file_name(std::string_view name, std::size_t max_bytes) {
  if (const auto slash = name.find_last_of("/\\"); slash != std::string_view::npos)
    name.remove_prefix(slash + 1);
  std::string out;
  while (!name.empty()) {
    const std::size_t length = character_length(name);
    const char c = name[0];
    const bool is_plain = length > 1 || (length == 1 && static_cast<unsigned char>(c) >= 0x20 && c != 0x7F &&
                                         std::string_view("<>:\"|?*").find(c) == std::string_view::npos);
    // C1 controls are two bytes.
    const bool is_c1 =
        length == 2 && static_cast<unsigned char>(c) == 0xC2 && static_cast<unsigned char>(name[1]) < 0xA0;
    if (is_plain && !is_c1) {
      out += name.substr(0, length);
    } else {
      out += '_';
    }
    name.remove_prefix(std::max<std::size_t>(length, 1));
  }
  const auto first = out.find_first_not_of(" .-");
  if (first == std::string::npos) return "";
  out.erase(0, first);
  while (!out.empty() && (out.back() == ' ' || out.back() == '.')) out.pop_back();
  if (out.size() <= max_bytes) return out;
  std::string extension = extension_of(out);
  if (extension.size() > 20) extension.clear();
  const std::string tail = out.substr(out.size() - extension.size());
  return out.substr(0, cut_at_character(out, max_bytes - tail.size())) + tail;
}

}  // namespace lowrank::library
