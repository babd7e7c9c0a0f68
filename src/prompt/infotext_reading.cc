// From a parameters text to its entries: where the settings begin, and where one ends and the next begins. What
// A1111 writes is read as A1111 reads it; beyond that, settings are found whose line was broken by a line break in a
// value, by other separators, or by the loss of all line breaks.
#include <algorithm>
#include <map>
#include <nlohmann/json.hpp>
#include <optional>

#include "base/text/text.h"
#include "prompt/infotext.h"
#include "prompt/infotext_values.h"

namespace lowrank::prompt {
namespace {

constexpr std::size_t kFewestEntries = 3;  // with fewer, a line belongs to the prompt
// How many places for the beginning of the settings are tried, from the end of the text: each costs a walk over it.
constexpr int kMostTries = 32;

// Labels that stand in nearly every text, by which settings are recognised where A1111's rule finds none.
constexpr std::string_view kUsualLabels[] = {
    "Steps",
    "Sampler",
    "Schedule type",
    "CFG scale",
    "Seed",
    "Size",
    "Model hash",
    "Model",
    "VAE hash",
    "VAE",
    "Clip skip",
    "ENSD",
    "RNG",
    "Version",
    "Lora hashes",
    "TI hashes",
    "Hashes",
    "Eta",
    "Template",
    "Variation seed",
    "Hires upscale",
    "Hires steps",
    "Hires upscaler",
    "Denoising strength",
    "Negative Template",
    "Variation seed strength",
    "Civitai resources",
    "Civitai metadata",
    "Face restoration",
};

// A1111's own: one line, commas alone. Ours: also what is described above.
enum class Rule { kA1111, kOurs };

struct RawEntry {
  std::string_view key;
  std::string_view value;
};

bool is_key_character(char32_t code) {
  return is_word(code) || code == ' ' || code == '-' || code == '/';
}

bool equal_but_for_case(std::string_view a, std::string_view b) {
  return std::ranges::equal(a, b, [](char x, char y) {
    const auto small = [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c | 0x20) : c; };
    return small(x) == small(y);
  });
}

// The label as A1111 spells it, "" when it is none of the usual ones: other programs write "CFG Scale".
std::string_view usual_label(std::string_view key) {
  for (const std::string_view label : kUsualLabels)
    if (equal_but_for_case(label, key)) return label;
  return "";
}

std::string_view blanks(std::string_view text, std::size_t at) {
  const std::size_t end = std::min(text.find_first_not_of(" \t", at), text.size());
  return text.substr(at, end - at);
}

// The key that begins at `at` and ends before a colon; nullopt when none does.
std::optional<std::string_view> key_at(std::string_view text, std::size_t at) {
  std::size_t end = at;
  std::size_t characters = 0;
  while (end < text.size()) {
    const Decoded c = decode_at(text, end);
    if (characters == 0 ? !is_word(c.code) : !is_key_character(c.code)) break;
    end += c.length;
    ++characters;
  }
  if (characters < 2 || end >= text.size() || text[end] != ':') return std::nullopt;
  return text.substr(at, end - at);
}

bool has_usual_label(std::string_view text, std::size_t at) {
  const auto key = key_at(text, at);
  return key && !usual_label(trim_end(*key)).empty();
}

// A quoted value at `at` that a separator or the end follows: offset behind its closing quote.
std::optional<std::size_t> quoted_end(std::string_view text, std::size_t at) {
  if (at >= text.size() || text[at] != '"') return std::nullopt;
  std::size_t end = at + 1;
  while (end < text.size() && text[end] != '"') {
    if (text[end] == '\\') ++end;
    ++end;
  }
  if (end >= text.size() || end == at + 1) return std::nullopt;
  ++end;
  const std::size_t next = end + blanks(text, end).size();
  const bool is_followed =
      next == text.size() || text[end] == ',' || text[next] == '\n' || text[next] == '|' || text[next] == ';';
  return is_followed ? std::optional(end) : std::nullopt;
}

// A JSON list or object at `at`, which sites write unquoted: offset behind it.
std::optional<std::size_t> json_end(std::string_view text, std::size_t at) {
  if (at >= text.size() || (text[at] != '[' && text[at] != '{')) return std::nullopt;
  int depth = 0;
  bool inside = false;
  for (std::size_t i = at; i < text.size(); ++i) {
    const char c = text[i];
    if (inside && c == '\\') {
      ++i;
    } else if (c == '"') {
      inside = !inside;
    } else if (!inside && (c == '{' || c == '[')) {
      ++depth;
    } else if (!inside && (c == '}' || c == ']') && --depth == 0) {
      const std::string_view json = text.substr(at, i + 1 - at);
      return nlohmann::json::accept(json) ? std::optional(i + 1) : std::nullopt;
    }
  }
  return std::nullopt;
}

// Only these hold words, in which a line may break.
bool holds_words(std::string_view key) {
  return usual_label(key).empty() || key.ends_with("emplate");
}

// Where the value at `at` ends: at a comma; at a line break unless it holds words and no key follows; at another
// separator before a usual label.
std::size_t value_end(std::string_view text, std::size_t at, std::string_view key) {
  for (std::size_t end = at; end < text.size(); ++end) {
    const char c = text[end];
    if (c == ',' || (c == '\n' && !holds_words(key))) return end;
    if (c != '\n' && c != '|' && c != ';' && c != '\t') continue;
    const std::size_t next = skip_space(text, end + 1);
    if (has_usual_label(text, next)) return end;
    if (c == '\n' && next < text.size() && text[next] >= 'A' && text[next] <= 'Z' && key_at(text, next))
      return end;
  }
  return text.size();
}

// All `key: value` entries of the settings, left to right. Each run of key characters is looked at once: if no colon
// follows it, none of its tails is a key either.
std::vector<RawEntry> find_entries(std::string_view text, Rule rule = Rule::kOurs) {
  std::vector<RawEntry> entries;
  for (std::size_t at = 0; at < text.size();) {
    const Decoded first = decode_at(text, at);
    if (!is_word(first.code)) {
      at += first.length;
      continue;
    }
    const auto key = key_at(text, at);
    if (!key) {
      std::size_t end = at + first.length;
      while (end < text.size() && is_key_character(decode_at(text, end).code))
        end += decode_at(text, end).length;
      at = end;
      continue;
    }
    const std::size_t value = skip_space(text, at + key->size() + 1);
    const bool is_ours = rule == Rule::kOurs;
    auto stop = quoted_end(text, value);
    if (stop && !is_ours && *stop < text.size() && text[*stop] != ',') stop.reset();
    if (!stop && is_ours) stop = json_end(text, value);
    if (!stop && is_ours)
      if (const std::size_t end = comma_number_end(text, value, usual_label(*key))) stop = end;
    if (!stop) stop = is_ours ? value_end(text, value, *key) : std::min(text.find(',', value), text.size());
    std::string_view words = text.substr(value, *stop - value);
    if (*stop < text.size() && text[*stop] != ',') words = trim_end(words);
    entries.push_back({*key, words});
    at = std::min(*stop + 1, text.size());
  }
  return entries;
}

std::size_t count_usual(const std::vector<RawEntry>& entries) {
  return static_cast<std::size_t>(
      std::ranges::count_if(entries, [](const RawEntry& entry) { return !usual_label(entry.key).empty(); }));
}

std::size_t line_begin(std::string_view text, std::size_t at) {
  const std::size_t newline = at == 0 ? std::string_view::npos : text.rfind('\n', at - 1);
  return newline == std::string_view::npos ? 0 : newline + 1;
}

// The last place where "Steps: NUMBER" begins settings; nullopt when none does.
std::optional<std::size_t> steps_begin(std::string_view text) {
  constexpr std::string_view kSteps = "Steps:";
  int tries = 0;
  for (std::size_t at = text.rfind(kSteps); at != std::string_view::npos && tries++ < kMostTries;
       at = at == 0 ? std::string_view::npos : text.rfind(kSteps, at - 1)) {
    const bool is_apart = at == 0 || is_space(decode_before(text, at).code) || text[at - 1] == ',';
    const std::size_t number = skip_space(text, at + kSteps.size());
    if (!is_apart || number >= text.size() || !digit_value(decode_at(text, number).code)) continue;
    if (count_usual(find_entries(text.substr(at))) >= kFewestEntries) return at;
  }
  return std::nullopt;
}

struct Found {
  std::size_t begin;              // of the settings
  bool line_breaks_lost = false;  // the words stand in one line with them
};

// Settings that begin with another label than Steps, over several lines.
std::optional<std::size_t> labelled_lines_begin(std::string_view text) {
  std::optional<std::size_t> found;
  std::size_t line = line_begin(text, text.size());
  for (int tries = 0; tries < kMostTries; ++tries, line = line_begin(text, line - 1)) {
    if (has_usual_label(text, skip_space(text, line)) &&
        count_usual(find_entries(text.substr(line))) >= kFewestEntries)
      found = line;
    else if (found || line == 0)
      break;
    if (line == 0) break;
  }
  return found;
}

// Lines of settings above the one that is known.
std::size_t extended_up(std::string_view text, std::size_t begin) {
  while (begin > 0) {
    const std::size_t above = line_begin(text, begin - 1);
    if (!has_usual_label(text, skip_space(text, above))) break;
    begin = above;
  }
  return begin;
}

bool is_settings_line(std::string_view line, Rule rule) {
  const auto entries = find_entries(line, rule);
  if (entries.size() >= kFewestEntries) return true;
  // Civitai's list alone is settings too: no prompt holds such a value under such a name.
  return rule == Rule::kOurs && std::ranges::any_of(entries, [](const RawEntry& e) {
           return usual_label(e.key) == "Civitai resources" && e.value.starts_with('[');
         });
}

std::optional<Found> find_settings(std::string_view text) {
  const std::size_t last_line = line_begin(text, text.size());
  const bool is_last_line = is_settings_line(text.substr(last_line), Rule::kOurs);
  if (const auto steps = steps_begin(text)) {
    const std::size_t line = line_begin(text, *steps);
    const std::size_t first = skip_space(text, line);
    const auto entries = find_entries(text.substr(line));
    const bool has_steps = std::ranges::any_of(entries, [](const RawEntry& e) { return e.key == "Steps"; });
    const auto begin_of = [&](const RawEntry& e) {
      return static_cast<std::size_t>(e.key.data() - text.data());
    };
    if (has_steps && begin_of(entries.front()) == first)
      return Found{is_last_line && line == last_line ? line : extended_up(text, line)};
    const auto usual =
        std::ranges::find_if(entries, [](const RawEntry& e) { return !usual_label(e.key).empty(); });
    return Found{has_steps ? std::min(begin_of(*usual), *steps) : *steps, true};
  }
  if (is_last_line) return Found{last_line};
  if (const auto begin = labelled_lines_begin(text)) return Found{*begin};
  return std::nullopt;
}

std::string decode_value(std::string_view value) {
  if (value.size() >= 2 && value.front() == '"' && value.back() == '"') {
    const auto decoded = nlohmann::json::parse(value, nullptr, false);
    if (decoded.is_string()) return decoded.get<std::string>();
  }
  return std::string(value);
}

// Collects entries under distinct keys in time n log n, which Infotext::set alone would not.
class EntryList {
 public:
  void add(const RawEntry& raw, Rule rule) {
    if (raw.value.empty()) return;
    std::string value = decode_value(raw.value);
    const std::string_view usual = rule == Rule::kOurs ? usual_label(raw.key) : "";
    const std::string key(usual.empty() ? raw.key : usual);
    if (!usual.empty() && comma_number_end(value, 0, usual) == value.size())
      value = without_commas(value, usual);
    auto size = split_size(value);
    if (!size && usual == "Size") size = split_loose_size(value);
    if (size) {
      set(key + "-1", std::move(size->first));
      set(key + "-2", std::move(size->second));
    } else if (key != "Prompt" && key != "Negative prompt") {  // these names are the texts' own
      set(key, value);
    }
  }

  std::vector<std::pair<std::string, std::string>> take() { return std::move(entries_); }

 private:
  void set(const std::string& key, std::string value) {
    const auto [place, is_new] = places_.try_emplace(key, entries_.size());
    if (is_new) entries_.emplace_back(key, std::string());
    entries_[place->second].second = std::move(value);
  }

  std::vector<std::pair<std::string, std::string>> entries_;
  std::map<std::string, std::size_t> places_;
};

// The lines before the settings, those behind the label in the negative prompt.
void read_words(std::string_view text, Infotext& out) {
  std::string* target = &out.prompt;
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t newline = std::min(text.find('\n', at), text.size());
    std::string_view line = trim(text.substr(at, newline - at));
    at = newline + 1;
    if (line.starts_with(kNegativeLabel)) {
      target = &out.negative_prompt;
      line = trim(line.substr(kNegativeLabel.size()));
    }
    if (!target->empty()) *target += '\n';
    *target += line;
  }
}

std::string with_line_before(std::string_view text, std::string_view label) {
  std::string out(text);
  if (const std::size_t at = out.find(label); at != std::string::npos && at > 0) out.insert(at, "\n");
  return out;
}

Infotext read_at(std::string_view text, const std::optional<Found>& found, Rule rule) {
  Infotext out;
  const std::string_view words = text.substr(0, found ? found->begin : text.size());
  const bool line_breaks_lost = found && found->line_breaks_lost;
  read_words(line_breaks_lost ? with_line_before(words, kNegativeLabel) : std::string(words), out);
  if (!found) return out;
  if (line_breaks_lost) {
    out.prompt = trim(out.prompt);
    out.negative_prompt = trim(out.negative_prompt);
  }
  EntryList list;
  for (const RawEntry& entry : find_entries(text.substr(found->begin), rule)) list.add(entry, rule);
  out.entries = list.take();
  return out;
}

}  // namespace

Infotext parse_infotext(std::string_view text) {
  text = trim(text);
  const std::size_t last_line = line_begin(text, text.size());
  const bool has_settings = is_settings_line(text.substr(last_line), Rule::kA1111);
  return read_at(text, has_settings ? std::optional(Found{last_line}) : std::nullopt, Rule::kA1111);
}

bool is_of_lowrank(const Infotext& infotext) {
  const std::string* version = infotext.find("Version");
  return version != nullptr && version->starts_with("LowRank");
}

constexpr std::string_view kLowRankMark = "A picture without settings, made by LowRank ";

std::string lowrank_mark(std::string_view version) {
  return std::string(kLowRankMark) + std::string(version);
}

bool is_lowrank_mark(std::string_view text) {
  return text.starts_with(kLowRankMark);
}

Infotext find_infotext(std::string_view text) {
  text = trim(text);
  return read_at(text, find_settings(text), Rule::kOurs);
}

std::string_view usual_label_at(std::string_view text) {
  std::string_view longest;
  for (const std::string_view label : kUsualLabels) {
    const std::string_view start = text.substr(0, label.size());
    if (label.size() > longest.size() && equal_but_for_case(start, label) &&
        (start.size() == text.size() || !is_key_character(decode_at(text, start.size()).code)))
      longest = start;
  }
  return longest;
}

std::string settings_among_words(const Infotext& infotext) {
  for (const std::string* words : {&infotext.prompt, &infotext.negative_prompt}) {
    for (std::size_t at = 0; at < words->size();) {
      const std::size_t newline = std::min(words->find('\n', at), words->size());
      const std::string_view line = std::string_view(*words).substr(at, newline - at);
      for (const std::string_view label : {"Steps:", "Sampler:", "CFG scale:", "Seed:"})
        if (line.find(label) != std::string_view::npos) return std::string(trim(line));
      at = newline + 1;
    }
  }
  return "";
}

}  // namespace lowrank::prompt
