#include "prompt/extra_networks.h"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <map>

#include <fmt/format.h>

#include "prompt/text.h"

namespace lowrank::prompt {
namespace {

struct Span {
  std::size_t begin = 0;
  std::size_t colon = 0;
  std::size_t end = 0;  // behind the `>`
};

// `<`, word characters, `:`, one or more characters other than `>`, `>`; the leftmost one at or after `from`.
// Each word is read once and each `>` is looked for once, so a text of many `<` stays linear.
std::optional<Span> find_tag(std::string_view text, std::size_t from) {
  for (std::size_t open = text.find('<', from); open != std::string_view::npos;
       open = text.find('<', open + 1)) {
    std::size_t colon = open + 1;
    while (colon < text.size()) {
      const Decoded c = decode_at(text, colon);
      if (!is_word(c.code)) break;
      colon += c.length;
    }
    if (colon == open + 1 || colon >= text.size() || text[colon] != ':') continue;
    const std::size_t close = text.find('>', colon + 1);
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
  tag.items = split(arguments, ':');
  std::map<std::string, std::size_t> places;
  for (const std::string& item : tag.items) {
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

// As much of a text as a message needs.
std::string shortened(std::string_view text) {
  constexpr std::size_t kMost = 80;
  if (text.size() <= kMost) return std::string(text);
  std::size_t end = 0;
  for (std::size_t next = 0; next <= kMost; next += decode_at(text, next).length) end = next;
  return std::string(text.substr(0, end)) + "…";
}

std::string as_written(const NetworkTag& tag) {
  return shortened(fmt::format("<{}:{}>", tag.kind, fmt::join(tag.items, ":")));
}

// Block weights stand where a number is expected when they are a list, or a preset: a name that begins with a
// capital.
bool looks_like_block_weights(std::string_view text) {
  return text.find(',') != std::string_view::npos || (!text.empty() && text[0] >= 'A' && text[0] <= 'Z');
}

// Reads one `<lora:…>`; `problem` holds the reason when that fails.
class LoraReader {
 public:
  LoraReader(const NetworkTag& tag, std::vector<std::string>& warnings) : tag_(tag), warnings_(warnings) {}

  std::optional<LoraTag> read() {
    if (tag_.positional.empty()) {
      warn("has no name");
      return std::nullopt;
    }
    lora_.name = tag_.positional[0];
    take_block_weights();
    const auto te = number(item("te", 1), 1.0, "text-encoder weight");
    if (!te) return std::nullopt;
    const auto unet = number(item("unet", 2), *te, "U-Net weight");
    if (!unet || !read_dyn()) return std::nullopt;
    lora_.te = *te;
    lora_.unet = *unet;
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
    return {index < positional_.size() ? &positional_[index] : nullptr, tag_.find(name)};
  }

  // The older block-weight form puts a preset or list in place of the third or fourth item; what follows
  // moves up.
  void take_block_weights() {
    positional_ = tag_.positional;
    for (std::size_t i = 2; i < positional_.size() && i < 4; ++i) {
      if (!parse_number(positional_[i]) && looks_like_block_weights(positional_[i])) {
        lora_.block_weights = positional_[i];
        positional_.erase(positional_.begin() + static_cast<std::ptrdiff_t>(i));
        return;
      }
    }
  }

  std::optional<double> number(const Given& given, double fallback, std::string_view what) {
    double value = fallback;
    for (const std::string* text : {given.positional, given.named}) {
      if (text == nullptr) continue;
      const auto read = parse_number(*text);
      if (!read) {
        warn(fmt::format("the {} '{}' is not a number", what, shortened(*text)));
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
    for (const auto& [name, value] : tag_.named) {
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
    copied = tag->end;
  }
  out.stripped += prompt.substr(copied);

  for (const NetworkTag& tag : out.tags) {
    if (tag.kind == "lora" || tag.kind == "lyco") {
      if (auto lora = LoraReader(tag, out.warnings).read()) out.loras.push_back(std::move(*lora));
    } else if (tag.kind == "hypernet") {
      read_hypernet(tag, out);
    } else {
      out.warnings.push_back(fmt::format("{}: there is no kind of network called '{}'; the tag is ignored.",
                                         as_written(tag), shortened(tag.kind)));
    }
  }
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
          "prompt {} of the batch has other network tags than the first; the first prompt's are used.",
          i + 1));
    }
  }
  return out;
}

bool has_network_tag(std::string_view text) {
  return find_tag(text, 0).has_value();
}

}  // namespace lowrank::prompt
