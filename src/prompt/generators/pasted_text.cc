#include "prompt/generators/pasted_text.h"

#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>
#include <optional>
#include <utility>

#include "base/text/text.h"
#include "prompt/infotext.h"
#include "prompt/tokens/html_entities.h"

namespace lowrank::prompt {
namespace {

using Lines = std::vector<std::string>;

constexpr std::string_view kWordLabels[] = {"Prompt", "Positive prompt", "Negative prompt", "positive_prompt",
                                            "negative_prompt"};
constexpr std::pair<std::string_view, std::string_view> kWide[] = {{"：", ": "}, {"，", ", "},  {"、", ", "},
                                                                   {"；", "; "}, {"｜", " | "}, {"“", "\""},
                                                                   {"”", "\""},  {"　", " "}};

bool starts_as(std::string_view text, std::string_view start) {
  return text.size() >= start.size() && lower(text.substr(0, start.size())) == lower(start);
}

void replace_all(std::string& text, std::string_view from, std::string_view to) {
  for (std::size_t at = text.find(from); at != std::string::npos; at = text.find(from, at + to.size()))
    text.replace(at, from.size(), to);
}

Lines lines_of(std::string_view text) {
  Lines lines;
  while (true) {
    const std::size_t end = std::min(text.find('\n'), text.size());
    std::string_view line = text.substr(0, end);
    if (line.ends_with('\r')) line.remove_suffix(1);
    lines.emplace_back(line);
    if (end == text.size()) return lines;
    text.remove_prefix(end + 1);
  }
}

std::string joined(const Lines& lines) {
  std::string text;
  for (const std::string& line : lines) text += (&line == &lines.front() ? "" : "\n") + line;
  return text;
}

// Of the labels that stand for words, or of settings: the label at the beginning of `text`, "" when there is none.
std::string_view label_at(std::string_view text) {
  for (const std::string_view label : kWordLabels)
    if (starts_as(text, label)) return text.substr(0, label.size());
  return usual_label_at(text);
}

// "**Steps:** 20", "**Steps**: 20", "__Steps__: 20", "`Steps`: 20" → "Steps: 20", wherever they stand in the line.
bool drop_label_marks(std::string& line) {
  bool changed = false;
  for (const std::string_view mark : {"**", "__", "`", "*"}) {
    for (std::size_t at = line.find(mark); at != std::string::npos; at = line.find(mark, at)) {
      const std::string_view inside = std::string_view(line).substr(at + mark.size());
      const std::string_view label = label_at(inside);
      std::string_view behind = inside.substr(label.size());
      const bool colon_inside = behind.starts_with(':');
      if (colon_inside) behind.remove_prefix(1);
      const bool is_label = !label.empty() && behind.starts_with(mark) &&
                            (colon_inside || behind.substr(mark.size()).starts_with(':'));
      if (!is_label) {
        at += mark.size();
        continue;
      }
      line.erase(at + mark.size() + label.size() + (colon_inside ? 1 : 0), mark.size());
      line.erase(at, mark.size());
      changed = true;
    }
  }
  return changed;
}

// A list's mark before a label: "- Steps: 20", "• Seed: 5", "2. Sampler: Euler".
bool drop_bullet(std::string& line) {
  const std::size_t begin = skip_space(line, 0);
  std::string_view rest = std::string_view(line).substr(std::min(begin, line.size()));
  std::size_t length = 0;
  for (const std::string_view mark : {"- ", "* ", "+ ", "• ", "– ", "— ", "· ", "・"})
    if (rest.starts_with(mark)) length = mark.size();
  const std::size_t digits = std::min(rest.find_first_not_of("0123456789"), rest.size());
  if (length == 0 && digits > 0 && digits < 3 &&
      (rest.substr(digits).starts_with(". ") || rest.substr(digits).starts_with(") ")))
    length = digits + 2;
  if (length == 0) return false;
  const std::string_view label = label_at(trim(rest.substr(length)));
  if (label.empty() || !trim(rest.substr(length)).substr(label.size()).starts_with(':')) return false;
  line.erase(0, begin + length);
  return true;
}

// "| Steps | 20 |" → "Steps: 20"
bool read_table_row(std::string& line) {
  const std::string_view row = trim(line);
  if (row.size() < 5 || !row.starts_with('|') || !row.ends_with('|')) return false;
  const std::string_view cells = row.substr(1, row.size() - 2);
  const std::size_t bar = cells.find('|');
  if (bar == std::string_view::npos || cells.find('|', bar + 1) != std::string_view::npos) return false;
  const std::string_view name = trim(cells.substr(0, bar)), value = trim(cells.substr(bar + 1));
  if (label_at(name) != name || name.empty()) return false;
  line = std::string(name) + ": " + std::string(value);
  return true;
}

void drop_fences(Lines& lines) {
  std::erase_if(lines, [](const std::string& line) {
    const std::string_view text = trim(line);
    return (text.starts_with("```") || text.starts_with("~~~")) &&
           text.find_first_of(" :,<", 3) == std::string_view::npos;
  });
}

bool drop_quote_marks(Lines& lines) {
  const bool is_quoted = std::ranges::all_of(
      lines, [](const std::string& line) { return trim(line).empty() || trim(line).starts_with('>'); });
  if (!is_quoted || trim(joined(lines)).empty()) return false;
  for (std::string& line : lines) {
    std::string_view text = trim(line);
    if (text.starts_with('>')) text.remove_prefix(1);
    line = trim(text);
  }
  return true;
}

// The punctuation of settings whose label has a full-width colon behind it, and curly quotes of settings.
bool narrow_settings(std::string& line) {
  const std::string_view label = label_at(trim(line));
  if (label.empty()) return false;
  const bool is_words = usual_label_at(label).empty();
  const bool is_wide = trim(trim(line).substr(label.size())).starts_with("：");
  if (!is_wide && (is_words || line.find("“") == std::string::npos)) return false;
  for (const auto& [wide, narrow] : kWide) {
    if (!is_words && (is_wide || narrow == "\"")) replace_all(line, wide, narrow);
    if (is_words && wide == "：") line.replace(line.find(wide), wide.size(), narrow);
  }
  return true;
}

bool decode_html(std::string& text) {
  bool changed = false;
  const std::array<std::string_view, 8> breaks = {"<br>", "<br/>", "<br />", "</p>\n",
                                                  "</p>", "<p>",   "</div>", "<div>"};
  for (const std::string_view mark : breaks)
    if (text.find(mark) != std::string::npos) {
      replace_all(text, std::string(mark) + "\n", "\n");
      replace_all(text, mark, mark == "<p>" || mark == "<div>" ? "" : "\n");
      changed = true;
    }
  const bool has_escapes = std::ranges::any_of(
      std::array<std::string_view, 6>{"&lt;", "&gt;", "&quot;", "&amp;", "&#39;", "&nbsp;"},
      [&](std::string_view escape) { return text.find(escape) != std::string::npos; });
  if (has_escapes) text = decode_html_entities(text);
  return changed || has_escapes;
}

// Chats that read Markdown want a backslash before < > _ * ~ and `; A1111 knows it only before brackets.
bool drop_escapes(std::string& text) {
  if (text.find("\\<") == std::string::npos && text.find("\\>") == std::string::npos &&
      text.find("\\_") == std::string::npos && text.find("\\*") == std::string::npos)
    return false;
  for (const std::string_view escaped : {"\\<", "\\>", "\\_", "\\*", "\\~", "\\`", "\\|"})
    replace_all(text, escaped, escaped.substr(1));
  return true;
}

// A text that was kept as a string of a program: in quotes, with \n for its line breaks.
bool unquote(std::string& text) {
  const std::string_view whole = trim(text);
  if (whole.size() > 2 && whole.starts_with('"') && whole.ends_with('"')) {
    const auto inside = nlohmann::json::parse(whole, nullptr, /*allow_exceptions=*/false);
    if (inside.is_string()) {
      text = inside.get<std::string>();
      return true;
    }
  }
  if (text.find('\n') != std::string::npos ||
      (text.find("\\nNegative prompt:") == std::string::npos && text.find("\\nSteps:") == std::string::npos))
    return false;
  replace_all(text, "\\r\\n", "\n");
  replace_all(text, "\\n", "\n");
  return true;
}

// Characters of no width, which web pages put between words; they keep a number from being read.
bool drop_invisible(std::string& text) {
  const std::size_t before = text.size();
  for (const std::string_view mark : {"\u200b", "\u2060", "\ufeff"}) replace_all(text, mark, "");
  return text.size() != before;
}

// "negative prompt:", "Negative Prompt :" at the beginning of a line become A1111's label; "Prompt:" before all goes.
bool name_words(Lines& lines) {
  bool changed = false, is_first = true;
  for (std::string& line : lines) {
    const std::string_view text = trim(line);
    if (text.empty()) continue;
    const std::string_view label = label_at(text);
    const std::string_view behind = trim(text.substr(label.size()));
    if (is_first && starts_as("parameters", text)) {  // the name of PNG's text
      line.clear();
      changed = true;
      continue;
    }
    const bool is_words = !label.empty() && usual_label_at(label).empty() && behind.starts_with(':');
    if (is_words && starts_as(label, "negative")) {
      std::string named = std::string(kNegativeLabel) + " " + std::string(trim(behind.substr(1)));
      changed |= !text.starts_with(kNegativeLabel);
      if (!text.starts_with(kNegativeLabel)) line = std::move(named);
    } else if (is_words && is_first) {
      line = trim(behind.substr(1));
      changed = true;
    }
    is_first = false;
  }
  return changed;
}

}  // namespace

std::string unwrapped_settings(std::string_view text, std::vector<std::string>& notes) {
  std::string whole(text);
  const auto note = [&](bool changed, const char* what) {
    if (changed) notes.emplace_back(what);
  };
  Lines lines = lines_of(whole);
  drop_fences(lines);
  const bool is_quoted = drop_quote_marks(lines);
  whole = joined(lines);
  if (is_of_lowrank(find_infotext(whole))) return whole;
  std::string other = whole;
  const bool was_string = unquote(other);
  const bool had_invisible = drop_invisible(other);
  const bool has_html = decode_html(other);
  const bool has_escapes = drop_escapes(other);
  lines = lines_of(other);
  bool is_marked = false, is_wide = false;
  for (std::string& line : lines) {
    is_wide |= narrow_settings(line);
    is_marked |= read_table_row(line);
    is_marked |= drop_label_marks(line);
    is_marked |= drop_bullet(line);
    is_marked |= drop_label_marks(line);
  }
  const bool is_named = name_words(lines);
  other = joined(lines);
  // A prompt alone stays as it was written.
  if (find_infotext(other).entries.empty()) return std::string(text);
  note(is_quoted, "the '>' before each line was removed.");
  if (is_marked)
    for (std::string& line : lines)
      if (line.size() > 4 && line.starts_with("**") && line.ends_with("**"))
        line = line.substr(2, line.size() - 4);
  note(was_string, "it was a quoted program string; its \\n were read as line breaks.");
  note(had_invisible, "zero-width characters were removed.");
  note(has_html, "HTML entities and tags, such as &lt; and <br>, were decoded.");
  note(has_escapes, "backslashes before < > _ * were removed.");
  note(is_marked, "list, table or bold markup around its labels was removed.");
  note(is_wide, "full-width punctuation and curly quotes in its settings were read as plain ones.");
  note(is_named, "its labels for prompt and negative prompt are not A1111's but were recognised.");
  return joined(lines);
}

}  // namespace lowrank::prompt
