// The "parameters" text that travels inside a picture, as A1111 writes and reads it: prompt, negative prompt,
// and one line of `Key: value` entries. Where it is stored in PNG, JPEG or WebP is the image room's business.
#pragma once

#include <concepts>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace lowrank::prompt {

// Before the negative prompt, at the beginning of a line.
inline constexpr std::string_view kNegativeLabel = "Negative prompt:";

struct Infotext {
  std::string prompt = {};
  std::string negative_prompt = {};
  std::vector<std::pair<std::string, std::string>> entries = {};  // in order; keys are distinct

  const std::string* find(std::string_view key) const;  // nullptr when absent
  // A new value for an existing key keeps the key's place.
  void set(std::string_view key, std::string value);
  void set(std::string_view key, const char* value) { set(key, std::string(value)); }
  template <std::integral T>
  requires(!std::same_as<T, bool>) void set(std::string_view key, T value) {
    set(key, std::to_string(value));
  }
  void set(std::string_view key, double value);  // shortest form that reads back equal, `7.0` for seven
  void set(std::string_view key, bool value);    // True, False
  void set_default(std::string_view key, std::string value);  // only when absent
};

// As Python prints it: shortest digits that read back equal, always with a point or an exponent.
std::string number_text(double value);

// As it is, or as a JSON string when it contains a comma, a colon or a newline.
std::string quote_value(std::string_view value);

// PROMPT ⏎ Negative prompt: NEGATIVE ⏎ Key: value, Key: value. The second line is left out when there is no
// negative prompt; an entry whose value equals its key is written as the key alone; the whole is trimmed.
std::string write_infotext(const Infotext& infotext);

// Only what the text itself says. `Size: 512x768` becomes the entries `Size-1` and `Size-2`; a repeated key's
// last value wins; empty values are dropped. Any text has a reading: with fewer than three entries in its
// last line it is all prompt. Source: A1111's parse_generation_parameters.
Infotext parse_infotext(std::string_view text);

// Whether LowRank wrote the text, by its Version.
bool is_of_lowrank(const Infotext& infotext);

// What LowRank writes into its pictures that have no settings (previews, contact sheets), to know them again.
std::string lowrank_mark(std::string_view version);
bool is_lowrank_mark(std::string_view text);

// The same, and settings are also found where that rule misses them: values with a line break in them, ` | `, `;` or
// line breaks between entries, words and settings in one line. A value that is a JSON list or object is one value, and
// usual labels are spelt as A1111 spells them.
Infotext find_infotext(std::string_view text);

// The usual label of settings ("Steps", "CFG scale") with which `text` begins, in any case, as it stands there; "" when it
// begins with none.
std::string_view usual_label_at(std::string_view text);

// A line of the prompts that looks like settings and was read as words; "" when there is none.
std::string settings_among_words(const Infotext& infotext);

// Adds what A1111 assumes of keys that are absent, the old hires and hypernet forms, and what older versions
// did otherwise (by the entry `Version`).
void add_infotext_defaults(Infotext& infotext);

// "NAME: HASH, NAME: HASH" of the entry `Lora hashes` (and of `TI hashes`).
std::vector<std::pair<std::string, std::string>> parse_hash_list(std::string_view text);

// The name here of the LoRA that a text calls NAME; nullopt: it is unknown, or called so here too.
using LocalName = std::function<std::optional<std::string>(std::string_view name)>;

// Rewrites `<lora:NAME:` to the local name, and appends tags for the old AddNet entries.
void localise_lora_names(Infotext& infotext, const LocalName& local_name);

}  // namespace lowrank::prompt
