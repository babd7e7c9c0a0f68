#include "prompt/grammar/schedule.h"

#include <algorithm>
#include <cmath>
#include <set>

#include "base/error.h"
#include "base/text/text.h"

namespace lowrank::prompt {
namespace {

using NodeId = int;
using Sequence = std::vector<NodeId>;

struct Node {
  enum class Kind {
    kText,       // `text`
    kBrackets,   // `text` is the opening character; one or two sequences; the closing character
    kScheduled,  // sequences before and after `step`
    kAlternate,  // one sequence after the other, a step each
  };
  Kind kind = Kind::kText;
  std::string_view text;
  std::vector<Sequence> sequences;
  int step = 0;
  std::size_t end = 0;  // offset behind the node
};

bool is_digit(char c) {
  return c >= '0' && c <= '9';
}

// A number with optional sign, point and exponent, whitespace around it, and the closing bracket.
struct When {
  double value = 0;
  bool has_point = false;
  std::size_t end = 0;  // behind the bracket
};

std::optional<When> read_when(std::string_view text, std::size_t at) {
  const std::size_t begin = skip_space(text, at);
  std::size_t end = begin;
  const auto digits = [&] {
    const std::size_t first = end;
    while (end < text.size() && is_digit(text[end])) ++end;
    return end > first;
  };
  const auto sign = [&] {
    if (end < text.size() && (text[end] == '+' || text[end] == '-')) ++end;
  };
  sign();
  const bool whole = digits();
  const bool has_point = end < text.size() && text[end] == '.';
  if (has_point) ++end;
  const bool fraction = has_point && digits();
  if (!whole && !fraction) return std::nullopt;
  if (end < text.size() && (text[end] == 'e' || text[end] == 'E')) {
    const std::size_t before = end++;
    sign();
    if (!digits()) end = before;
  }
  const std::size_t bracket = skip_space(text, end);
  if (bracket >= text.size() || text[bracket] != ']') return std::nullopt;
  constexpr double kBeyondAnyStep = 1e9;
  const double overflow = text[begin] == '-' ? -kBeyondAnyStep : kBeyondAnyStep;
  return When{parse_number(text.substr(begin, end - begin)).value_or(overflow), has_point, bracket + 1};
}

// Reads the grammar without backtracking over its own work: whether and how a construct reads depends only on
// where it begins, so each beginning is tried once and remembered.
class Parser {
 public:
  Parser(std::string_view text, const ScheduleSteps& steps)
      : text_(text), steps_(steps), known_(text.size(), kUntried) {}

  // The whole prompt as one sequence; nullopt when it can only be taken literally.
  std::optional<Sequence> parse() {
    Sequence all;
    std::size_t at = 0;
    while (true) {
      at = sequence(at, 0, all);
      if (at >= text_.size()) return all;
      if (std::string_view("[]():").find(text_[at]) == std::string_view::npos) return std::nullopt;
      all.push_back(add_text(at, at + 1));
      ++at;
    }
  }

  const Node& node(NodeId id) const { return nodes_[static_cast<std::size_t>(id)]; }
  int last_step() const { return steps_.hires && !steps_.use_old_timelines ? *steps_.hires : steps_.base; }

 private:
  static constexpr NodeId kUntried = -2;
  static constexpr NodeId kNone = -1;

  char at_or_end(std::size_t at) const { return at < text_.size() ? text_[at] : '\0'; }

  NodeId add(Node node) {
    nodes_.push_back(std::move(node));
    return static_cast<NodeId>(nodes_.size()) - 1;
  }

  NodeId add_text(std::size_t begin, std::size_t end) {
    return add({Node::Kind::kText, text_.substr(begin, end - begin), {}, 0, end});
  }

  // End of the run of ordinary characters and escapes at `at`.
  std::size_t plain_end(std::size_t at) const {
    while (at < text_.size()) {
      if (text_[at] == '\\') {
        if (at + 1 >= text_.size() || text_[at + 1] == '\n') break;
        at += 2;
      } else if (std::string_view("[]():|").find(text_[at]) == std::string_view::npos) {
        ++at;
      } else {
        break;
      }
    }
    return at;
  }

  // Appends plain runs and constructs to `out`; returns where neither continues.
  std::size_t sequence(std::size_t at, int depth, Sequence& out) {
    while (at < text_.size()) {
      if (const std::size_t end = plain_end(at); end > at) {
        out.push_back(add_text(at, end));
        at = end;
        continue;
      }
      const NodeId found = construct(at, depth);
      if (found == kNone) break;
      out.push_back(found);
      at = node(found).end;
    }
    return at;
  }

  NodeId construct(std::size_t at, int depth) {
    if (text_[at] != '(' && text_[at] != '[') return kNone;
    if (known_[at] == kUntried) {
      // Note [editing depth]: too deep means text, wherever the depth was counted from; the reading stays
      // deterministic because prompts are always read from the front.
      if (depth >= kMaxEditingDepth) {
        known_[at] = kNone;
      } else {
        known_[at] = text_[at] == '(' ? round(at, depth + 1) : square(at, depth + 1);
      }
    }
    return known_[at];
  }

  NodeId round(std::size_t begin, int depth) {
    Node made{Node::Kind::kBrackets, text_.substr(begin, 1), std::vector<Sequence>(1), 0, 0};
    std::size_t at = sequence(begin + 1, depth, made.sequences[0]);
    if (at_or_end(at) == ':') at = sequence(at + 1, depth, made.sequences.emplace_back());
    if (at_or_end(at) != ')') return kNone;
    made.end = at + 1;
    return add(std::move(made));
  }

  NodeId square(std::size_t begin, int depth) {
    Node made{Node::Kind::kBrackets, text_.substr(begin, 1), std::vector<Sequence>(1), 0, 0};
    std::size_t at = sequence(begin + 1, depth, made.sequences[0]);
    if (at_or_end(at) == ':') return scheduled(at + 1, depth, std::move(made));
    while (at_or_end(at) == '|') {
      made.kind = Node::Kind::kAlternate;
      at = sequence(at + 1, depth, made.sequences.emplace_back());
    }
    if (at_or_end(at) != ']') return kNone;
    made.end = at + 1;
    return add(std::move(made));
  }

  // Behind the first colon; `made` holds the sequence before it.
  NodeId scheduled(std::size_t at, int depth, Node made) {
    auto when = read_when(text_, at);
    if (when) {
      made.sequences.insert(made.sequences.begin(), Sequence());
    } else {
      at = sequence(at, depth, made.sequences.emplace_back());
      if (at_or_end(at) != ':') return kNone;
      when = read_when(text_, at + 1);
      if (!when) return kNone;
    }
    made.kind = Node::Kind::kScheduled;
    made.step = step_of(*when);
    made.end = when->end;
    return add(std::move(made));
  }

  // A value with a point is a fraction of the pass, 1 … 2 of the hires pass; without one a step, counted
  // through both.
  int step_of(const When& when) const {
    const int last = last_step();
    double step = when.value;
    if (steps_.use_old_timelines) {
      if (step < 1) step *= last;
    } else if (when.has_point) {
      step = (step - (steps_.hires ? 1 : 0)) * last;
    } else if (steps_.hires) {
      step -= steps_.base;
    }
    return static_cast<int>(std::clamp(std::trunc(step), -1.0, static_cast<double>(last)));
  }

  std::string_view text_;
  const ScheduleSteps& steps_;
  std::vector<NodeId> known_;  // per offset: the construct that begins there
  std::vector<Node> nodes_;
};

struct Boundaries {
  std::set<int> steps;
  bool has_alternation = false;
};

void collect(const Parser& parser, const Sequence& sequence, Boundaries& out) {
  for (const NodeId id : sequence) {
    const Node& node = parser.node(id);
    if (node.kind == Node::Kind::kScheduled && node.step >= 1) out.steps.insert(node.step);
    if (node.kind == Node::Kind::kAlternate) out.has_alternation = true;
    for (const Sequence& inner : node.sequences) collect(parser, inner, out);
  }
}

void render(const Parser& parser, const Sequence& sequence, int step, std::string& out) {
  for (const NodeId id : sequence) {
    const Node& node = parser.node(id);
    switch (node.kind) {
      case Node::Kind::kText:
        out += node.text;
        break;
      case Node::Kind::kBrackets:
        out += node.text;
        for (std::size_t i = 0; i < node.sequences.size(); ++i) {
          if (i > 0) out += ':';
          render(parser, node.sequences[i], step, out);
        }
        out += node.text == "(" ? ')' : ']';
        break;
      case Node::Kind::kScheduled:
        render(parser, node.sequences[step <= node.step ? 0 : 1], step, out);
        break;
      case Node::Kind::kAlternate:
        render(parser, node.sequences[static_cast<std::size_t>(step - 1) % node.sequences.size()], step, out);
        break;
    }
  }
}

}  // namespace

std::vector<ScheduleEntry> resolve_schedule(std::string_view prompt, const ScheduleSteps& steps) {
  Parser parser(prompt, steps);
  const int last = parser.last_step();
  LOWRANK_CHECK(last >= 1);
  const auto sequence = parser.parse();
  if (!sequence) return {{last, std::string(prompt)}};
  Boundaries boundaries;
  collect(parser, *sequence, boundaries);
  boundaries.steps.insert(last);
  if (boundaries.has_alternation) {
    for (int step = 1; step < last; ++step) boundaries.steps.insert(step);
  }
  if (boundaries.steps.size() > kMaxScheduleBytes / (prompt.size() + 1)) {
    throw Error(
        kBadInput,
        "the prompt changes at {} steps and has {} bytes, which is too much in combination; shorten it.",
        boundaries.steps.size(), prompt.size());
  }
  std::vector<ScheduleEntry> schedule;
  for (const int step : boundaries.steps) {
    ScheduleEntry& entry = schedule.emplace_back();
    entry.end_at_step = step;
    render(parser, *sequence, step, entry.text);
  }
  return schedule;
}

bool is_there(const std::vector<Presence>& times, int call) {
  if (times.empty()) return true;
  const auto entry =
      std::find_if(times.begin(), times.end(), [&](const Presence& e) { return call <= e.end_at_step; });
  return entry == times.end() ? times.front().is_there : entry->is_there;
}

std::size_t entry_for_call(const std::vector<ScheduleEntry>& schedule, int call) {
  LOWRANK_CHECK(!schedule.empty());
  const auto entry = std::find_if(schedule.begin(), schedule.end(),
                                  [&](const ScheduleEntry& e) { return call <= e.end_at_step; });
  return entry == schedule.end() ? 0 : static_cast<std::size_t>(entry - schedule.begin());
}

}  // namespace lowrank::prompt
