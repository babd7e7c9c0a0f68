#include "request/series/csv.h"

#include "base/text/text.h"

namespace lowrank::request {

std::vector<std::string> split_csv(std::string_view text) {
  std::vector<std::string> items;
  std::string item;
  bool quoted = false, at_start = true;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (quoted) {
      if (c != '"') {
        item += c;
      } else if (i + 1 < text.size() && text[i + 1] == '"') {
        item += text[++i];
      } else {
        quoted = false;
      }
    } else if (c == ',' || c == '\n') {
      items.emplace_back(trim(item));
      item.clear();
      at_start = true;
    } else if (at_start && c == ' ') {
      continue;
    } else if (at_start && c == '"') {
      quoted = true;
      at_start = false;
    } else {
      item += c;
      at_start = false;
    }
  }
  if (!text.empty()) items.emplace_back(trim(item));
  return items;
}

std::string joined_csv(const std::vector<std::string>& items) {
  std::string text;
  for (const std::string& item : items) {
    if (&item != &items.front()) text += ',';
    const bool is_plain = !item.empty() && item.find_first_of(",\"\r\n") == std::string::npos;
    if (is_plain) {
      text += item;
      continue;
    }
    text += '"';
    for (const char c : item) text += c == '"' ? std::string("\"\"") : std::string(1, c);
    text += '"';
  }
  return text;
}

}  // namespace lowrank::request
