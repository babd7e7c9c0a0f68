#include "prompt/styles.h"

#include <algorithm>
#include <optional>

#include <fmt/format.h>

#include "base/error.h"
#include "base/text/shortened.h"
#include "base/text/text.h"
#include "base/text/text_file.h"
#include "prompt/grammar/extra_networks.h"
#include "prompt/grammar/tag_lookalikes.h"

namespace lowrank::prompt {
namespace {

enum class WholeLines { kNo, kYes };

// One pass: each comment, up to and including the next newline or the end, becomes one newline. A `#` in a network
// tag begins none: it belongs to the name.
std::string replace_comments(std::string_view text, WholeLines whole_lines,
                             std::vector<std::string>* removed = nullptr) {
  std::string out;
  std::size_t at = 0;
  while (at < text.size()) {
    const bool after_newline = whole_lines == WholeLines::kYes && text[at] == '\n';
    const std::size_t mark = after_newline ? at + 1 : at;
    const bool may_begin = whole_lines == WholeLines::kNo || after_newline || at == 0;
    if (!may_begin || mark >= text.size() || text[mark] != '#') {
      const std::size_t end = whole_lines == WholeLines::kNo ? end_of_tag_on_line(text, at) : at;
      out += text.substr(at, std::max<std::size_t>(end - at, 1));
      at = std::max(end, at + 1);
      continue;
    }
    out += '\n';
    const std::size_t newline = text.find('\n', mark);
    if (removed != nullptr) removed->emplace_back(text.substr(mark, newline - mark));
    at = newline == std::string_view::npos ? text.size() : newline + 1;
  }
  return out;
}

// Reads comma-separated values as Python's csv module does by default, with blanks after a comma skipped.
class CsvReader {
 public:
  CsvReader(std::string_view text, std::string_view source) : text_(text), source_(source) {}

  std::optional<std::vector<std::string>> next_row() {
    while (at_ < text_.size() && is_newline(text_[at_])) ++at_;  // empty lines are no rows
    if (at_ >= text_.size()) return std::nullopt;
    std::vector<std::string> row;
    while (true) {
      row.push_back(field());
      if (at_ >= text_.size() || text_[at_] != ',') break;
      ++at_;
    }
    return row;
  }

 private:
  static bool is_newline(char c) { return c == '\n' || c == '\r'; }

  std::string field() {
    while (at_ < text_.size() && text_[at_] == ' ') ++at_;
    std::string value;
    if (at_ < text_.size() && text_[at_] == '"') quoted(value);
    while (at_ < text_.size() && text_[at_] != ',' && !is_newline(text_[at_])) value += text_[at_++];
    return value;
  }

  void quoted(std::string& value) {
    for (++at_; at_ < text_.size(); ++at_) {
      if (text_[at_] != '"') {
        value += text_[at_];
      } else if (at_ + 1 < text_.size() && text_[at_ + 1] == '"') {
        value += text_[at_++];
      } else {
        ++at_;
        return;
      }
    }
    throw Error(kBadInput, "{}: a quoted field is not closed; add the missing '\"'.", source_);
  }

  std::string_view text_;
  std::string_view source_;
  std::size_t at_ = 0;
};

std::optional<std::size_t> column(const std::vector<std::string>& header, std::string_view name) {
  const auto found = std::find(header.begin(), header.end(), name);
  if (found == header.end()) return std::nullopt;
  return static_cast<std::size_t>(found - header.begin());
}

std::string cell(const std::vector<std::string>& row, std::optional<std::size_t> index) {
  return index && *index < row.size() ? row[*index] : std::string();
}

}  // namespace

std::string strip_comments(std::string_view text, std::vector<std::string>* removed) {
  return replace_comments(replace_comments(text, WholeLines::kYes, removed), WholeLines::kNo, removed);
}

std::vector<Style> parse_styles(std::string_view csv, std::string_view source) {
  if (csv.starts_with("\xef\xbb\xbf")) csv.remove_prefix(3);
  CsvReader reader(csv, source);
  const auto header = reader.next_row();
  if (!header) return {};
  const auto name = column(*header, "name");
  if (!name) {
    throw Error(kBadInput,
                "{}: the first line has no column 'name'; it must be 'name,prompt,negative_prompt'.", source);
  }
  const auto new_prompt = column(*header, "prompt");
  const auto prompt = new_prompt ? new_prompt : column(*header, "text");
  const auto negative = column(*header, "negative_prompt");
  std::vector<Style> styles;
  while (const auto row = reader.next_row()) {
    Style style{cell(*row, name), cell(*row, prompt), cell(*row, negative)};
    if (!style.name.starts_with('#')) styles.push_back(std::move(style));
  }
  return styles;
}

std::vector<Style> read_styles(const std::filesystem::path& path) {
  if (!std::filesystem::exists(path)) return {};
  return parse_styles(read_text_file(path), path.string());
}

std::string merge_style(std::string_view style_text, std::string_view prompt) {
  constexpr std::string_view kPlace = "{prompt}";
  std::size_t place = style_text.find(kPlace);
  if (place == std::string_view::npos) {
    const std::string_view style = trim(style_text);
    const std::string_view current = trim(prompt);
    if (style.empty()) return std::string(prompt);
    if (current.empty()) return std::string(style);
    return std::string(current) + ", " + std::string(style);
  }
  std::string out;
  std::size_t copied = 0;
  for (; place != std::string_view::npos; place = style_text.find(kPlace, copied)) {
    out += style_text.substr(copied, place - copied);
    out += prompt;
    copied = place + kPlace.size();
  }
  out += style_text.substr(copied);
  return out;
}

StyledPrompts apply_styles(std::string_view prompt, std::string_view negative_prompt,
                           std::span<const Style> styles, std::span<const std::string> names,
                           Comments comments) {
  StyledPrompts out;
  const auto clean = [&](std::string_view text) {
    if (comments == Comments::kKeep) return std::string(trim(text));
    std::vector<std::string> removed;
    const std::string kept = strip_comments(text, &removed);
    for (const std::string& comment : removed) {
      const ExtraNetworks networks = parse_extra_networks(comment);
      if (networks.tags.empty() && lookalike_warnings(comment).empty()) continue;
      out.warnings.push_back(fmt::format(
          "a '#' outside a tag begins a comment, so '{}' has no effect; remove the '#' if it should.",
          shortened(comment)));
    }
    return std::string(trim(kept));
  };
  out.prompt = clean(prompt);
  out.negative_prompt = clean(negative_prompt);
  for (const std::string& name : names) {
    const auto style =
        std::find_if(styles.rbegin(), styles.rend(), [&](const Style& s) { return s.name == name; });
    if (style == styles.rend()) {
      out.unknown.push_back(name);
      continue;
    }
    out.prompt = merge_style(clean(style->prompt), out.prompt);
    out.negative_prompt = merge_style(clean(style->negative_prompt), out.negative_prompt);
    if (std::max(out.prompt.size(), out.negative_prompt.size()) > kMaxPromptBytes) {
      throw Error(kBadInput, "with style '{}' the prompt exceeds {} bytes; use fewer or shorter styles.",
                  name, kMaxPromptBytes);
    }
  }
  return out;
}

}  // namespace lowrank::prompt
