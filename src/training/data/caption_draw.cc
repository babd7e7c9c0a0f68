#include "training/data/caption_draw.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>
#include <iterator>

#include "base/text/text.h"
#include "training/data/random_draws.h"
#include "training/data/shuffled.h"

namespace lowrank::training {
namespace {

enum class EmptyParts { kKept, kLeftOut };

std::vector<std::string> parts_of(std::string_view text, std::string_view separator, EmptyParts empty) {
  std::vector<std::string> parts;
  const auto take = [&](std::string_view part) {
    part = trim(part);
    if (empty == EmptyParts::kKept || !part.empty()) parts.emplace_back(part);
  };
  for (std::size_t found; !separator.empty() && (found = text.find(separator)) != std::string_view::npos;) {
    take(text.substr(0, found));
    text.remove_prefix(found + separator.size());
  }
  take(text);
  return parts;
}

std::string replaced(std::string text, std::string_view what, std::string_view with) {
  for (std::size_t at = 0; !what.empty() && (at = text.find(what, at)) != std::string::npos;
       at += with.size())
    text.replace(at, what.size(), with);
  return text;
}

std::string first_line(const std::string& text) {
  return text.substr(0, text.find('\n'));
}

std::string with_prefix_and_suffix(const std::string& caption, const CaptionOptions& options) {
  std::string text = options.prefix.empty() ? caption : options.prefix + " " + caption;
  if (!options.suffix.empty()) text += " " + options.suffix;
  return text;
}

std::string one_of(const std::string& text, char separator, const at::Generator& generator) {
  std::vector<std::string> choices;
  for (std::size_t from = 0; from <= text.size();) {
    const std::size_t end = std::min(text.find(separator, from), text.size());
    choices.push_back(text.substr(from, end - from));
    from = end + 1;
  }
  return choices[static_cast<std::size_t>(draw_below(static_cast<std::int64_t>(choices.size()), generator))];
}

// A text that stands for a brace while choices are drawn, and that the caption does not hold.
std::string stand_in(const std::string& text, char mark) {
  std::string name(1, mark);
  while (text.find(name) != std::string::npos) name += mark;
  return name;
}

// A choice goes from a brace to the next closing one, with at least one character between them.
std::string without_choices(const std::string& text, const at::Generator& generator) {
  std::string chosen;
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t end = text[at] == '{' ? text.find('}', at) : std::string::npos;
    if (end == std::string::npos || end == at + 1) {
      chosen += text[at++];
      continue;
    }
    chosen += one_of(text.substr(at + 1, end - at - 1), '|', generator);
    at = end + 1;
  }
  return chosen;
}

std::string wildcards_drawn(std::string text, const at::Generator& generator) {
  if (text.find('\n') != std::string::npos) text = one_of(text, '\n', generator);
  const std::string open = stand_in(text, '\x01'), close = stand_in(text, '\x02');
  text = without_choices(replaced(replaced(text, "{{", open), "}}", close), generator);
  return replaced(replaced(text, open, "{"), close, "}");
}

struct CaptionParts {
  std::vector<std::string> front, loose, back;
};

CaptionParts split_caption(const std::string& caption, const CaptionOptions& options) {
  const std::string& keep = options.keep_separator;
  const std::size_t first = keep.empty() ? std::string::npos : caption.find(keep);
  CaptionParts parts;
  if (first == std::string::npos) {
    parts.loose = parts_of(trim(caption), options.separator, EmptyParts::kKept);
    const auto kept = static_cast<std::ptrdiff_t>(
        std::min(static_cast<std::size_t>(std::max(0, options.keep_tokens)), parts.loose.size()));
    parts.front.assign(parts.loose.begin(), parts.loose.begin() + kept);
    parts.loose.erase(parts.loose.begin(), parts.loose.begin() + kept);
    return parts;
  }
  std::string_view rest = std::string_view(caption).substr(first + keep.size());
  const std::size_t second = rest.find(keep);
  if (second != std::string_view::npos) {
    parts.back = parts_of(rest.substr(second + keep.size()), options.separator, EmptyParts::kLeftOut);
    rest = rest.substr(0, second);
  }
  parts.front = parts_of(std::string_view(caption).substr(0, first), options.separator, EmptyParts::kLeftOut);
  parts.loose = parts_of(rest, options.separator, EmptyParts::kLeftOut);
  return parts;
}

// How many of the loose tags the warm-up shows.
std::size_t warm_count(std::size_t loose, const CaptionOptions& options, const CaptionMoment& moment) {
  const double end = options.token_warmup_step < 1
                         ? std::floor(options.token_warmup_step * static_cast<double>(moment.steps))
                         : options.token_warmup_step;
  if (end <= 0 || static_cast<double>(moment.step) >= end) return loose;
  const double grown = std::floor(static_cast<double>(moment.step) *
                                  (static_cast<double>(loose) - options.token_warmup_min) / end);
  return static_cast<std::size_t>(
      std::clamp(grown + options.token_warmup_min, 0.0, static_cast<double>(loose)));
}

std::string tags_drawn(const std::string& caption, const CaptionOptions& options,
                       const at::Generator& generator, const CaptionMoment& moment) {
  CaptionParts parts = split_caption(caption, options);
  parts.loose.resize(warm_count(parts.loose.size(), options, moment));
  if (options.shuffle) shuffle(parts.loose, generator);
  std::vector<std::string>& tags = parts.front;
  for (std::string& tag : parts.loose)
    if (options.tag_dropout_rate <= 0 || draw_unit(generator) >= options.tag_dropout_rate)
      tags.push_back(std::move(tag));
  std::ranges::move(parts.back, std::back_inserter(tags));
  return fmt::format("{}", fmt::join(tags, ", "));
}

bool draws_tags(const CaptionOptions& options) {
  return options.shuffle || options.token_warmup_step > 0 || options.tag_dropout_rate > 0;
}

}  // namespace

std::vector<std::string> caption_tags(const std::string& caption) {
  return parts_of(caption, ",", EmptyParts::kLeftOut);
}

std::string plain_caption(const std::string& caption, const CaptionOptions& options) {
  return replaced(first_line(with_prefix_and_suffix(caption, options)), options.secondary_separator,
                  options.separator);
}

bool is_fixed(const CaptionOptions& options) {
  return options.dropout_rate <= 0 && options.dropout_every_n_epochs <= 0 && !options.wildcards &&
         !draws_tags(options);
}

std::string draw_caption(const std::string& caption, const CaptionOptions& options, at::Generator generator,
                         const CaptionMoment& moment) {
  if (options.dropout_rate > 0 && draw_unit(generator) < options.dropout_rate) return "";
  if (options.dropout_every_n_epochs > 0 && (moment.epoch + 1) % options.dropout_every_n_epochs == 0)
    return "";
  std::string text = with_prefix_and_suffix(caption, options);
  text = options.wildcards ? wildcards_drawn(text, generator) : first_line(text);
  if (draws_tags(options)) text = tags_drawn(text, options, generator, moment);
  return replaced(text, options.secondary_separator, options.separator);
}

}  // namespace lowrank::training
