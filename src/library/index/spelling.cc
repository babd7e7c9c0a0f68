#include "library/index/spelling.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstddef>
#include <functional>
#include <optional>
#include <utility>

#include "base/text/ascii.h"
#include "library/near_names.h"

namespace lowrank::library {
namespace {

constexpr std::size_t kMostWords = 16, kLongestWord = 64, kMostNear = 8;

// Letters and digits of ASCII in lower case, all other bytes but ASCII's signs: as the full text cuts, near enough.
std::vector<std::string> spelt_words(std::string_view text) {
  std::vector<std::string> words;
  bool goes_on = false;
  for (const char c : lower_ascii(text)) {
    const bool is_letter =
        (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || static_cast<unsigned char>(c) >= 0x80;
    if (is_letter && !goes_on) words.emplace_back();
    if (is_letter && words.back().size() < kLongestWord) words.back() += c;
    goes_on = is_letter;
  }
  if (words.size() > kMostWords) words.resize(kMostWords);
  return words;
}

std::size_t mistakes_allowed(std::size_t letters) {
  return letters < 4 ? 0 : letters < 7 ? 1 : 2;
}

// How far a word of the index is from the one that was written; nullopt: too far.
std::optional<std::size_t> word_distance(const std::string& written, const std::string& term) {
  if (term == written || term.starts_with(written)) return 0;
  const std::size_t allowed = mistakes_allowed(written.size());
  if (written.size() >= 3 && term.find(written) != std::string::npos) return 1;
  // Two words of the index written as one.
  if (term.size() >= 3 && written.size() > term.size() && written.starts_with(term)) return 3;
  if (allowed == 0) return std::nullopt;
  const auto longer = std::max(term.size(), written.size()), shorter = std::min(term.size(), written.size());
  std::size_t far = longer - shorter > allowed ? allowed + 1 : edit_distance(written, term);
  // The beginning of a longer word, misspelt.
  if (written.size() >= 5 && term.size() > written.size())
    far = std::min(far, edit_distance(written, term.substr(0, written.size())) + 1);
  return far <= allowed ? std::optional(far) : std::nullopt;
}

std::string as_beginning(const std::string& word) {
  return fmt::format("\"{}\"*", word);
}

}  // namespace

NearWords near_words(const sqlite::Database& database, std::string_view words) {
  NearWords near;
  const auto written = spelt_words(words);
  if (written.empty()) return near;
  database.execute("CREATE VIRTUAL TABLE IF NOT EXISTS temp.search_words USING fts5vocab(main, search, row)");
  std::vector<std::vector<std::pair<std::size_t, std::string>>> found(written.size());
  auto terms = database.prepare("SELECT term FROM temp.search_words");
  while (terms.step()) {
    const std::string term = terms.text(0);
    for (std::size_t i = 0; i < written.size(); ++i)
      if (const auto far = word_distance(written[i], term)) found[i].emplace_back(*far, term);
  }
  for (std::size_t i = 0; i < written.size(); ++i) {
    auto& list = found[i];
    if (list.empty()) return {};
    std::ranges::stable_sort(list);
    // What occurs as it was written is not misspelt; of a word that was written together the longest part counts.
    const std::size_t nearest = list.front().first;
    std::erase_if(
        list, [&](const auto& entry) { return (nearest == 0 || nearest == 3) && entry.first != nearest; });
    if (nearest == 3)
      std::ranges::stable_sort(list, std::greater(), [](const auto& e) { return e.second.size(); });
    list.resize(std::min(list.size(), nearest == 3 ? 1 : kMostNear));
    std::string one_of;
    for (const auto& [far, term] : list) {
      one_of += (one_of.empty() ? "" : " OR ") + as_beginning(nearest == 0 ? written[i] : term);
      if (far > 0) near.words.push_back(term);
      if (nearest == 0) break;
    }
    near.match += fmt::format("{}({})", near.match.empty() ? "" : " AND ", one_of);
  }
  if (near.words.empty()) near.match.clear();  // all occur, only never together
  return near;
}

}  // namespace lowrank::library
