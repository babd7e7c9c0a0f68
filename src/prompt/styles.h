// Comments and styles: what is done to a prompt before anything else reads it. The result of this step is the
// text that is stored in a picture's metadata.
#pragma once

#include <cstddef>
#include <filesystem>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace lowrank::prompt {

// Longer prompts are refused with Error(kBadInput).
inline constexpr std::size_t kMaxPromptBytes = 256 * 1024;

// Removes `#` comments: first whole comment lines together with the newline before them, then any other `#`
// up to and including the next newline; each becomes one newline. `#` cannot be escaped, but begins no comment inside
// a network tag that ends on its line, where it is part of the name (A1111 cuts the tag in two). The ends are not
// trimmed. `removed`, where given, receives the comments.
std::string strip_comments(std::string_view text, std::vector<std::string>* removed = nullptr);

struct Style {
  std::string name;
  std::string prompt;
  std::string negative_prompt;
};

// Reads the text of a styles.csv: UTF-8 with or without BOM, header `name,prompt,negative_prompt` or the old
// `name,text`, quoted fields, blanks after a comma skipped, rows whose name begins with `#` ignored.
// Throws Error(kBadInput) naming `source` when the header has no column `name`, or a quote is never closed.
std::vector<Style> parse_styles(std::string_view csv, std::string_view source);

// The same for a file, in UTF-8 or with a byte order mark. A missing file is no error: it means no styles.
std::vector<Style> read_styles(const std::filesystem::path& path);

enum class Comments { kStrip, kKeep };

// One style text put on a prompt: every `{prompt}` in it is replaced by the prompt; without one it is
// appended after
// `, `. An empty style text changes nothing.
std::string merge_style(std::string_view style_text, std::string_view prompt);

struct StyledPrompts {
  std::string prompt;
  std::string negative_prompt;
  std::vector<std::string> unknown;   // names asked for that no style has; they contribute nothing
  std::vector<std::string> warnings;  // one sentence for each comment that takes a network tag with it
};

// Strips comments, applies the named styles in the order given, each on the result of the one before, and
// trims.
StyledPrompts apply_styles(std::string_view prompt, std::string_view negative_prompt,
                           std::span<const Style> styles, std::span<const std::string> names,
                           Comments comments = Comments::kStrip);

}  // namespace lowrank::prompt
