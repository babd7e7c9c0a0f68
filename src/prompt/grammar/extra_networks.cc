#include "prompt/grammar/extra_networks.h"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <map>

#include <fmt/format.h>

#include "base/text/shortened.h"
#include "base/text/text.h"
#include "prompt/grammar/tag_lookalikes.h"
#include "prompt/number_lookalikes.h"

namespace lowrank::prompt {
namespace {

struct Span {
  std::size_t begin = 0;
  std::size_t colon = 0;
  std::size_t end = 0;  // behind the `>`
};

// Behind the closing quote of a quoted NAME at `at`, which `:` or `>` must follow; 0: there is none.
std::size_t quoted_name_end(std::string_view text, std::size_t at) {
  if (at >= text.size() || text[at] != '"') return 0;
  for (++at; at < text.size(); ++at) {
    if (text[at] != '"') continue;
    if (at + 1 >= text.size()) return 0;
    if (text[at + 1] != '"') return text[at + 1] == ':' || text[at + 1] == '>' ? at + 1 : 0;
    ++at;
  }
  return 0;
}

std::string unquoted(std::string_view text) {
  std::string out;
  for (std::size_t i = 1; i + 1 < text.size(); ++i) {
    out += text[i];
    if (text[i] == '"') ++i;
  }
  return out;
}

// Offset of the colon behind `<` and word characters at `open`; 0: there is none.
std::size_t kind_end(std::string_view text, std::size_t open) {
  std::size_t colon = open + 1;
  while (colon < text.size()) {
    const Decoded c = decode_at(text, colon);
    if (!is_word(c.code)) break;
    colon += c.length;
  }
  return colon == open + 1 || colon >= text.size() || text[colon] != ':' ? 0 : colon;
}

// `<`, word characters, `:`, one or more characters other than `>`, `>`; the leftmost one at or after `from`.
// Each word is read once and each `>` is looked for once, so a text of many `<` stays linear.
std::optional<Span> find_tag(std::string_view text, std::size_t from) {
  for (std::size_t open = text.find('<', from); open != std::string_view::npos;
       open = text.find('<', open + 1)) {
    const std::size_t colon = kind_end(text, open);
    if (colon == 0) continue;
    const std::size_t behind_name = quoted_name_end(text, colon + 1);
    const std::size_t close = text.find('>', behind_name == 0 ? colon + 1 : behind_name);
    if (close == std::string_view::npos) return std::nullopt;  // no later tag can end either
    if (close > colon + 1) return Span{open, colon, close + 1};
  }
  return std::nullopt;
}

std::vector<std::string> split(std::string_view text, char separator) {
  std::vector<std::string> parts;
  while (true) {
    const std::size_t at = text.find(separator);
    parts.emplace_back(text.substr(0, at));
    if (at == std::string_view::npos) return parts;
    text.remove_prefix(at + 1);
  }
}

NetworkTag read_tag(std::string_view kind, std::string_view arguments) {
  NetworkTag tag;
  tag.kind = kind;
  // `>` ended the arguments; here it stands for it.
  const std::size_t quoted = quoted_name_end(fmt::format("{}>", arguments), 0);
  if (quoted != 0) {
    tag.items.emplace_back(arguments.substr(0, quoted));
    if (quoted < arguments.size())
      for (std::string& item : split(arguments.substr(quoted + 1), ':')) tag.items.push_back(std::move(item));
  } else {
    tag.items = split(arguments, ':');
  }
  std::map<std::string, std::size_t> places;
  for (const std::string& item : tag.items) {
    if (quoted != 0 && &item == &tag.items.front()) {
      tag.positional.push_back(unquoted(item));
      continue;
    }
    if (std::count(item.begin(), item.end(), '=') != 1) {
      tag.positional.push_back(item);
      continue;
    }
    const std::size_t equals = item.find('=');
    const std::string name = item.substr(0, equals);
    const auto [place, is_new] = places.try_emplace(name, tag.named.size());
    if (is_new) tag.named.emplace_back(name, std::string());
    tag.named[place->second].second = item.substr(equals + 1);
  }
  return tag;
}

bool has_letter(std::string_view text) {
  for (std::size_t at = 0; at < text.size(); at += decode_at(text, at).length)
    if (is_letter(decode_at(text, at).code)) return true;
  return false;
}

std::string as_written(const NetworkTag& tag) {
  return shortened(fmt::format("<{}:{}>", tag.kind, fmt::join(tag.items, ":")));
}

// Block weights stand where a number is expected when they are a list, or a preset: a name that begins with a
// capital.
bool looks_like_block_weights(std::string_view text) {
  if (!with_decimal_point(text).empty()) return false;  // no list has two weights: a number with a comma
  return text.find(',') != std::string_view::npos || (!text.empty() && text[0] >= 'A' && text[0] <= 'Z');
}

// Reads one `<lora:…>`; `problem` holds the reason when that fails.
class LoraReader {
 public:
  LoraReader(const NetworkTag& tag, std::vector<std::string>& warnings) : tag_(tag), warnings_(warnings) {}

  std::optional<LoraTag> read() {
    positional_ = tag_.positional;
    named_ = tag_.named;
    parse_name_with_equals();
    if (positional_.empty()) {
      warn("has no name");
      return std::nullopt;
    }
    if (std::any_of(tag_.items.begin() + 1, tag_.items.end(),
                    [](const std::string& item) { return item.find('<') != std::string::npos; })) {
      warn("it is not closed by '>' before the next '<'");
      return std::nullopt;
    }
    lora_.name = positional_[0];
    parse_block_weights();
    const auto te = number(item("te", 1), 1.0, "text-encoder weight");
    if (!te) return std::nullopt;
    const auto unet = number(item("unet", 2), *te, "U-Net weight");
    if (!unet || !read_dyn()) return std::nullopt;
    lora_.te = *te;
    lora_.unet = *unet;
    if (std::max(std::abs(*te), std::abs(*unet)) > kMaxNetworkWeight)
      warnings_.push_back(fmt::format("{}: the weight exceeds {:g}; no picture can be made with it.",
                                      as_written(tag_), kMaxNetworkWeight));
    read_named();
    return lora_;
  }

 private:
  void warn(std::string_view problem) {
    warnings_.push_back(fmt::format("{}: {}; the tag is ignored.", as_written(tag_), problem));
  }

  // The named item if there is one, else the positional one, else nothing. Every given number must be one,
  // even a positional number that a named one replaces.
  struct Given {
    const std::string* positional = nullptr;
    const std::string* named = nullptr;
  };
  Given item(std::string_view name, std::size_t index) const {
    const auto named =
        std::find_if(named_.begin(), named_.end(), [&](const auto& each) { return each.first == name; });
    return {index < positional_.size() ? &positional_[index] : nullptr,
            named == named_.end() ? nullptr : &named->second};
  }

  // `<lora:a=b:0.8>`: no argument is called `a`, so this is the name; and so is `x=2` in `<lora:x=2:0.8>`, where
  // otherwise nothing or a number would be left to be the name.
  void parse_name_with_equals() {
    const std::string& first = tag_.items.front();
    if (std::count(first.begin(), first.end(), '=') != 1 || first.starts_with('"')) return;
    const std::string key = first.substr(0, first.find('='));
    if (is_argument(key) && !positional_.empty() && !parse_number(positional_[0])) return;
    // A later argument of the same name stays one.
    std::erase_if(named_, [&](const auto& each) { return each.first + "=" + each.second == first; });
    positional_.insert(positional_.begin(), first);
  }

  static bool is_argument(std::string_view key) {
    static constexpr std::string_view kArguments[] = {"te",   "unet", "dyn",   "lbw",  "w",
                                                      "lbwe", "x",    "start", "stop", "step"};
    return std::find(std::begin(kArguments), std::end(kArguments), key) != std::end(kArguments);
  }

  // The older block-weight form puts a preset or list in place of the third or fourth item; what follows
  // moves up.
  void parse_block_weights() {
    for (std::size_t i = 2; i < positional_.size() && i < 4; ++i) {
      if (!parse_number(positional_[i]) && looks_like_block_weights(positional_[i])) {
        lora_.block_weights = positional_[i];
        positional_.erase(positional_.begin() + static_cast<std::ptrdiff_t>(i));
        return;
      }
    }
  }

  // Why a weight is none, and what to write. A single weight stands for both networks.
  std::string number_fault(const std::string& text, std::string_view what, bool may_be_name) const {
    const bool is_single = item("unet", 2).positional == nullptr && item("unet", 2).named == nullptr &&
                           item("te", 1).named == nullptr;
    const std::string_view called = is_single ? "weight" : what;
    if (trim(text).empty()) return fmt::format("the {} after the ':' is missing", called);
    std::string fault = fmt::format("the {} '{}' is not a number", called, shortened(text));
    if (const std::string right = with_decimal_point(text); !right.empty())
      return fault + fmt::format(" (use a decimal point: {})", shortened(right));
    if (may_be_name && has_letter(text) && !is_number_like(text))
      fault += fmt::format(" (a name that contains ':' needs quotes: <{}:\"{}:{}\":1>)", tag_.kind,
                           shortened(lora_.name), shortened(text));
    return fault;
  }

  std::optional<double> number(const Given& given, double fallback, std::string_view what) {
    double value = fallback;
    for (const std::string* text : {given.positional, given.named}) {
      if (text == nullptr) continue;
      const auto read = parse_number(*text);
      if (!read) {
        warn(number_fault(*text, what, given.positional == text && what.starts_with("text")));
        return std::nullopt;
      }
      value = *read;
    }
    return value;
  }

  bool read_dyn() {
    const Given given = item("dyn", 3);
    for (const std::string* text : {given.positional, given.named}) {
      if (text == nullptr) continue;
      const auto value = parse_integer(*text);
      if (!value || *value < 0) {
        warn(fmt::format("the rank limit '{}' is not a whole number", shortened(*text)));
        return false;
      }
      lora_.dyn = *value;
    }
    return true;
  }

  // Items that only modify; a bad one is left out, the tag stays.
  void read_named() {
    std::vector<std::string_view> unknown;
    for (const auto& [name, value] : named_) {
      if (name == "te" || name == "unet" || name == "dyn") continue;
      if (name == "lbw" || name == "w") {
        lora_.block_weights = value;
      } else if (name == "lbwe") {
        lora_.block_elements = value;
      } else if (name == "x") {
        read_optional(name, value, lora_.block_base);
      } else if (name == "start") {
        read_optional(name, value, lora_.window.start);
      } else if (name == "stop") {
        read_optional(name, value, lora_.window.stop);
      } else if (name == "step") {
        const std::size_t dash = value.find('-', 1);
        read_optional(name, std::string_view(value).substr(0, dash), lora_.window.start);
        if (dash != std::string::npos)
          read_optional(name, std::string_view(value).substr(dash + 1), lora_.window.stop);
      } else {
        unknown.push_back(name);
      }
    }
    if (!unknown.empty()) {
      warnings_.push_back(fmt::format("{}: unknown items have no effect: {}.", as_written(tag_),
                                      shortened(fmt::format("{}", fmt::join(unknown, ", ")))));
    }
  }

  void read_optional(std::string_view name, std::string_view value, std::optional<double>& out) {
    out = parse_number(value);
    if (out) return;
    warnings_.push_back(fmt::format("{}: '{}' of the item '{}' is not a number; the item has no effect.",
                                    as_written(tag_), shortened(value), name));
  }

  const NetworkTag& tag_;
  std::vector<std::string>& warnings_;
  std::vector<std::string> positional_;
  std::vector<std::pair<std::string, std::string>> named_;
  LoraTag lora_;
};

void read_hypernet(const NetworkTag& tag, ExtraNetworks& out) {
  if (tag.positional.empty()) {
    out.warnings.push_back(fmt::format("{}: has no name; the tag is ignored.", as_written(tag)));
    return;
  }
  const auto weight =
      tag.positional.size() > 1 ? parse_number(tag.positional[1]) : std::optional<double>(1.0);
  if (!weight) {
    out.warnings.push_back(fmt::format("{}: the weight '{}' is not a number; the tag is ignored.",
                                       as_written(tag), shortened(tag.positional[1])));
    return;
  }
  out.hypernets.push_back({tag.positional[0], *weight});
  out.warnings.push_back(
      fmt::format("{}: hypernetworks are not supported; the tag has no effect.", as_written(tag)));
}

// What A1111 and dynamic prompts write with another meaning: each tag counts, wherever it stands.
void warn_of_braces(std::string_view prompt, ExtraNetworks& out) {
  const std::size_t last_brace = prompt.rfind('}');
  std::vector<std::size_t> open;
  std::size_t at = 0;
  for (const NetworkTag& tag : out.tags) {
    for (; at < tag.begin; ++at) {
      if (prompt[at] == '{') open.push_back(at);
      if (prompt[at] == '}' && !open.empty()) open.pop_back();
    }
    at = tag.end;
    if (open.empty() || last_brace == std::string_view::npos || last_brace < tag.end) continue;
    out.warnings.push_back(fmt::format(
        "{}: it is in braces, which have no meaning here; every tag in them is active.", as_written(tag)));
  }
}

bool is_lora_in_other_letters(std::string_view kind) {
  const std::string small = lower(kind);
  return small == "lora" || small == "lyco" || small == "lycoris" || small == "locon" || small == "loha";
}

}  // namespace

const std::string* NetworkTag::find(std::string_view name) const {
  const auto found =
      std::find_if(named.begin(), named.end(), [&](const auto& item) { return item.first == name; });
  return found == named.end() ? nullptr : &found->second;
}

bool StepWindow::is_active(int step, int steps) const {
  const auto resolve = [&](double value) {
    return value > 0 && value < 1 ? std::max(1.0, std::nearbyint(value * steps)) : value;
  };
  return (!start || step >= resolve(*start)) && (!stop || step < resolve(*stop));
}

ExtraNetworks parse_extra_networks(std::string_view prompt) {
  ExtraNetworks out;
  std::size_t copied = 0;
  while (const auto tag = find_tag(prompt, copied)) {
    out.stripped += prompt.substr(copied, tag->begin - copied);
    out.tags.push_back(read_tag(prompt.substr(tag->begin + 1, tag->colon - tag->begin - 1),
                                prompt.substr(tag->colon + 1, tag->end - tag->colon - 2)));
    out.tags.back().begin = tag->begin;
    out.tags.back().end = tag->end;
    copied = tag->end;
  }
  out.stripped += prompt.substr(copied);

  for (std::size_t i = 0; i < out.tags.size(); ++i) {
    const NetworkTag& tag = out.tags[i];
    if (tag.kind == "lora" || tag.kind == "lyco") {
      auto lora = LoraReader(tag, out.warnings).read();
      if (!lora) continue;
      lora->tag = i;
      out.loras.push_back(std::move(*lora));
    } else if (tag.kind == "hypernet") {
      read_hypernet(tag, out);
    } else {
      out.warnings.push_back(fmt::format("{}: unknown network type '{}'{}; the tag is ignored.",
                                         as_written(tag), shortened(tag.kind),
                                         is_lora_in_other_letters(tag.kind) ? ", write 'lora'" : ""));
    }
  }
  warn_of_braces(prompt, out);
  for (std::string& warning : lookalike_warnings(out.stripped)) out.warnings.push_back(std::move(warning));
  return out;
}

BatchNetworks parse_batch(std::span<const std::string> prompts) {
  BatchNetworks out;
  const auto same_tag = [](const NetworkTag& a, const NetworkTag& b) {
    return a.kind == b.kind && a.items == b.items;
  };
  for (std::size_t i = 0; i < prompts.size(); ++i) {
    ExtraNetworks networks = parse_extra_networks(prompts[i]);
    out.stripped.push_back(networks.stripped);
    if (i == 0) {
      out.networks = std::move(networks);
      out.warnings = out.networks.warnings;
    } else if (!networks.tags.empty() &&
               !std::equal(networks.tags.begin(), networks.tags.end(), out.networks.tags.begin(),
                           out.networks.tags.end(), same_tag)) {
      out.warnings.push_back(fmt::format(
          "prompt {} of the batch has different network tags from the first; the first prompt's are used.",
          i + 1));
    }
  }
  return out;
}

bool has_network_tag(std::string_view text) {
  return find_tag(text, 0).has_value();
}

std::string network_name(std::string_view name) {
  const bool is_whole = name.find_first_of("<>:\n") == std::string_view::npos && !name.starts_with('"') &&
                        std::count(name.begin(), name.end(), '=') != 1;
  if (is_whole) return std::string(name);
  std::string out = "\"";
  for (const char c : name) {
    out += c;
    if (c == '"') out += '"';
  }
  return out + '"';
}

bool is_plain_network_name(std::string_view name) {
  return name.find_first_of("<>:=#\n\"") == std::string_view::npos;
}

std::size_t end_of_tag_on_line(std::string_view text, std::size_t at) {
  constexpr std::size_t kLongest = 1024;
  const std::size_t colon = text[at] == '<' ? kind_end(text, at) : 0;
  if (colon == 0) return at;
  const std::string_view kind = text.substr(at + 1, colon - at - 1);
  if (kind != "lora" && kind != "lyco" && kind != "hypernet") return at;
  const std::string_view near = text.substr(0, colon + kLongest);
  const std::size_t close = near.find('>', std::max(colon + 1, quoted_name_end(near, colon + 1)));
  if (close == std::string_view::npos || near.substr(at, close - at).find('\n') != std::string_view::npos)
    return at;
  return close + 1;
}

}  // namespace lowrank::prompt
