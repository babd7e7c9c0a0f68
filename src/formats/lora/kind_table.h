// The suffixes of LoRA keys and the kinds of adapter they make. The one place where a suffix is spelled.
// Source: the key names that kohya sd-scripts, LyCORIS, PEFT and diffusers write.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "formats/lora/lora_file.h"

namespace lowrank::formats {

struct SuffixRow {
  std::string_view suffix;  // as it stands in a key, with its first dot or underscore
  std::string_view part;    // the name under which LoraEntry::parts holds it, the same for every writer
  bool is_peft = false;     // may have the adapter's name behind its first word: `.hra_u.default`
};
// Longest match wins.
std::span<const SuffixRow> suffix_table();

struct KindRow {
  AdapterKind kind;
  std::string_view name;                             // for people
  std::vector<std::vector<std::string_view>> needs;  // of each inner list one part must be there
  std::vector<std::string_view> may;                 // parts that are understood besides
};
// In the order in which kinds are tried. OFT, BOFT and IA3 stand twice: PEFT's are other formulas than
// LyCORIS'.
const std::vector<KindRow>& kind_table();

// The two matrices that all modules of a kind share: each takes what its layer needs of them. They stand in the file, or
// are drawn anew.
struct SharedParts {
  std::string_view a, b;
};
std::optional<SharedParts> shared_parts(AdapterKind kind);

}  // namespace lowrank::formats
