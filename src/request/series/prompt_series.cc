#include "request/series/prompt_series.h"

#include <fmt/format.h>

#include <optional>

#include "base/error.h"
#include "base/text/text.h"
#include "request/fault_list.h"
#include "request/field_table.h"

namespace lowrank::request {
namespace {

constexpr std::size_t kMaxParts = 10, kMaxLines = 10'000;

// Fields of A1111's script under other names, and those that mean nothing here.
std::optional<std::string> api_name(const std::string& tag) {
  if (tag == "sd_model") return "sd_model_checkpoint";
  if (tag == "negative") return "negative_prompt";
  for (const char* without_effect : {"outpath_samples", "outpath_grids", "prompt_for_display",
                                     "restore_faces", "do_not_save_samples", "do_not_save_grid"})
    if (tag == without_effect) return std::nullopt;
  return tag;
}

const FieldRow& field_of(const std::string& name, std::string_view word) {
  const FieldRow* field = field_by_api(name);
  if (field == nullptr) field = field_by_flag(name);
  if (field == nullptr) throw Error(kBadInput, "unknown generation option '{}'.", word);
  return *field;
}

// Words as a POSIX shell splits them: blanks, quotes of both kinds, backslashes.
std::vector<std::string> shell_words(std::string_view line) {
  std::vector<std::string> words;
  std::optional<std::string> word;
  char quote = 0;
  for (std::size_t i = 0; i < line.size(); ++i) {
    const char c = line[i];
    if (quote == 0 && (c == ' ' || c == '\t')) {
      if (word) words.push_back(*word);
      word.reset();
      continue;
    }
    if (!word) word.emplace();
    if (quote != 0 && c == quote) {
      quote = 0;
    } else if (quote == 0 && (c == '"' || c == '\'')) {
      quote = c;
    } else if (c == '\\' && quote != '\'' && i + 1 < line.size() &&
               (quote == 0 || line[i + 1] == '"' || line[i + 1] == '\\')) {
      *word += line[++i];
    } else {
      *word += c;
    }
  }
  if (quote != 0) throw Error(kBadInput, "a quote is not closed.");
  if (word) words.push_back(*word);
  return words;
}

// A line's prompt, and that of the base on its other side.
std::string joined(const std::string& line, const std::string& base, const LineOptions& options) {
  if (line.empty() || base.empty()) return line;
  return options.at_end ? base + " " + line : line + " " + base;
}

GenerationRequest read_line(const std::string& line, const GenerationRequest& base,
                            const LineOptions& options) {
  GenerationRequest request = base;
  if (line.find("--") == std::string::npos) {
    request.prompt = joined(line, base.prompt, options);
    return request;
  }
  const auto words = shell_words(line);
  for (std::size_t i = 0; i < words.size();) {
    const std::string& word = words[i];
    if (!word.starts_with("--"))
      throw Error(kBadInput, "unexpected '{}' where an option such as --prompt is expected.", word);
    if (i + 1 == words.size()) throw Error(kBadInput, "'{}' needs a value.", word);
    const auto name = api_name(word.substr(2));
    std::string value = words[i + 1];
    i += 2;
    if (name == "prompt" || name == "negative_prompt")
      for (; i < words.size() && !words[i].starts_with("--"); ++i) value += " " + words[i];
    if (!name) continue;
    const FieldRow& field = field_of(*name, word);
    if (*name == "styles") request.styles.clear();
    if (*name == "prompt") value = joined(value, base.prompt, options);
    if (*name == "negative_prompt") value = joined(value, base.negative_prompt, options);
    set_field(request, field, value, word);
  }
  return request;
}

}  // namespace

std::vector<std::string> matrix_parts(std::string_view text) {
  std::vector<std::string> parts;
  for (std::size_t from = 0;;) {
    const auto bar = text.find('|', from);
    parts.emplace_back(text.substr(from, bar == std::string_view::npos ? bar : bar - from));
    if (bar == std::string_view::npos) return parts;
    from = bar + 1;
  }
}

std::vector<std::string> prompt_matrix(std::string_view text, const MatrixOptions& options) {
  const auto parts = matrix_parts(text);
  if (parts.size() > kMaxParts + 1)
    throw Error(
        kBadInput,
        "the prompt has {} parts after '|', which would give {} pictures; at most {} parts can be combined.",
        parts.size() - 1, 1ULL << std::min<std::size_t>(parts.size() - 1, 60), kMaxParts);
  const auto stripped = [](std::string_view part) {
    part = trim(part);
    while (part.starts_with(',')) part.remove_prefix(1);
    while (part.ends_with(',')) part.remove_suffix(1);
    return std::string(part);
  };
  std::vector<std::string> prompts;
  for (unsigned combination = 0; combination < 1U << (parts.size() - 1); ++combination) {
    std::vector<std::string> chosen;
    for (std::size_t n = 0; n + 1 < parts.size(); ++n)
      if ((combination & (1U << n)) != 0) chosen.push_back(stripped(parts[n + 1]));
    chosen.insert(options.at_start ? chosen.end() : chosen.begin(), parts.front());
    prompts.push_back(fmt::format("{}", fmt::join(chosen, options.joined_by_blank ? " " : ", ")));
  }
  return prompts;
}

std::vector<GenerationRequest> prompts_from_lines(std::string_view lines, const GenerationRequest& base,
                                                  const LineOptions& options, FaultList* found) {
  std::vector<GenerationRequest> requests;
  GenerationRequest next = base;
  FaultList own;
  FaultList& faults = found == nullptr ? own : *found;
  int number = 0;
  for (std::size_t from = 0; from <= lines.size();) {
    const auto end = std::min(lines.find('\n', from), lines.size());
    const std::string line(trim(lines.substr(from, end - from)));
    from = end + 1;
    ++number;
    if (line.empty()) continue;
    if (requests.size() == kMaxLines) throw Error(kBadInput, "there are more than {} prompts.", kMaxLines);
    faults.add_from([&] {
      try {
        requests.push_back(read_line(line, next, options));
      } catch (const Error& error) {
        throw error.during(fmt::format("reading line {}", number));
      }
    });
    if (options.iterates_seed) next.seed += base.picture_count();
  }
  own.throw_if_any();
  if (requests.empty() && faults.empty()) throw Error(kBadInput, "there are no prompts; write one per line.");
  return requests;
}

}  // namespace lowrank::request
