// Extra-network tags in a prompt: `<lora:NAME:TE:UNET:DYN>`, `<hypernet:NAME:WEIGHT>` and unknown kinds.
// Every tag is cut out of the text; nothing is put in its place. Finding the files is not done here.
//
// Beyond A1111's grammar, so that every name can be written: NAME may stand in quotes, `<lora:"a:b>c":1>`, where a
// quote inside is doubled; and a NAME such as `a=b`, which reads like a named argument that nobody knows, is a name.
#pragma once

#include <cstddef>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "prompt/grammar/schedule.h"

namespace lowrank::prompt {

// One tag as written: the items between the colons, then split into positional ones and `name=value` ones.
struct NetworkTag {
  std::string kind;                // case-sensitive; "lora", "lyco" and "hypernet" are known
  std::size_t begin = 0, end = 0;  // bytes of the prompt, with the brackets
  std::vector<std::string> items;
  std::vector<std::string> positional;
  std::vector<std::pair<std::string, std::string>>
      named;  // a repeated name keeps its place and its last value

  const std::string* find(std::string_view name) const;  // value of a named item, nullptr when absent
};

// When an adapter is on: from step `start` up to, not including, step `stop`, counting sampling steps from 1.
// A value strictly between 0 and 1 is a fraction of the steps. Absent: no limit on that side. Only the U-Net
// is switched.
struct StepWindow {
  std::optional<double> start;
  std::optional<double> stop;

  bool is_active(int step, int steps) const;
};

// A `<lora:…>` (or `<lyco:…>`) tag with its numbers read.
struct LoraTag {
  std::string name;        // exactly as written, blanks included
  double te = 1.0;         // weight for the text encoders: 2nd positional item or te=
  double unet = 1.0;       // weight for the U-Net: 3rd positional item or unet=; without either equal to te
  std::optional<int> dyn;  // use only the first dyn ranks: 4th positional item or dyn=
  std::string block_weights;   // lbw= or w=, or a preset where the 3rd or 4th number is expected; empty: none
  std::string block_elements;  // lbwe=; empty: none
  std::optional<double> block_base;  // x=, the base of X values in block_weights
  StepWindow window;                 // start=, stop=, or both as step=a-b
  std::size_t tag = 0;               // index into ExtraNetworks::tags
  // When prompt editing or alternation brackets stand around the tag: the model calls at which it is there. Empty:
  // at all. Filled by find_tag_times (tag_times.h).
  std::vector<Presence> times;
};

struct HypernetTag {
  std::string name;
  double weight = 1.0;
};

struct ExtraNetworks {
  std::string stripped;          // the prompt without its tags
  std::vector<NetworkTag> tags;  // every tag in text order, whatever its kind
  std::vector<LoraTag> loras;    // in text order; a name may appear more than once, each tag counts
  std::vector<HypernetTag> hypernets;
  std::vector<std::string> warnings;  // one sentence each: bad numbers, unknown kinds, ignored items
};

// Cuts the tags out of one positive prompt. A tag whose number cannot be read (nan and inf included) is left
// out of `loras` with a warning; it never disturbs its neighbours. Source of the grammar: A1111's extra
// networks and its built-in Lora extension; block weights: sd-webui-lora-block-weight.
ExtraNetworks parse_extra_networks(std::string_view prompt);

struct BatchNetworks {
  std::vector<std::string> stripped;  // one per prompt
  ExtraNetworks networks;             // of the first prompt: it decides for the whole batch
  std::vector<std::string>
      warnings;  // of the first prompt, and one when a later prompt asks for other networks
};

// The tags of prompts that are made together.
BatchNetworks parse_batch(std::span<const std::string> prompts);

// NAME as it must stand in a tag: in quotes where it holds what ends an argument or a tag.
std::string network_name(std::string_view name);
// Whether A1111 reads the name in a tag, too: without `:`, `=`, `#`, brackets and line ends.
bool is_plain_network_name(std::string_view name);

// Largest weight, either way, that makes any sense; beyond it float32 overflows.
inline constexpr double kMaxNetworkWeight = 1e6;

// Behind the network tag that begins at `at` and ends on the same line; `at` itself when none does.
std::size_t end_of_tag_on_line(std::string_view text, std::size_t at);

// True when the text holds something that would be a tag in a positive prompt. In a negative prompt it is
// only words.
bool has_network_tag(std::string_view text);

}  // namespace lowrank::prompt
