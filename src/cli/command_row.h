// What a row of the command table is made of: a command with its options, positionals, needs and examples.
#pragma once

#include <functional>
#include <limits>
#include <string>
#include <vector>

namespace lowrank::cli {

struct Invocation;

enum class ValueKind { kText, kInteger, kNumber, kFile, kFolder, kSize };

// What a name stands for; its shell completes with the names that are there (`lowrank model list --names` …).
enum class Names { kNone, kCheckpoint, kLora, kRecipe };

struct StandsFor {
  std::string flag = {}, value = {};
};

struct OptionRow {
  std::string flag = {};   // without dashes; unique within its command
  char letter = 0;         // "-p"; 0: none
  std::string value = {};  // what stands behind it, "FILE"; empty: a switch
  std::string help = {};   // begins in lower case, no full stop
  ValueKind kind = ValueKind::kText;
  double min = -std::numeric_limits<double>::infinity(), max = std::numeric_limits<double>::infinity();
  std::string default_value = {};         // the value without the option, as text; empty: none worth telling
  std::vector<std::string> choices = {};  // offered by completion
  bool only_choices = false;              // nothing else is taken
  std::vector<std::string> aliases = {};  // other long names, A1111's API's for example
  bool is_repeatable = false;             // each time adds a value; otherwise the last one counts
  int most_words = 1;                     // the value may be that many words, up to the next option
  std::function<void(const std::string& text)> check =
      {};  // throws what is wrong with a value; else the kind's rule
  Names names = Names::kNone;
  StandsFor stands_for = {};  // a switch: it means this other option with this value

  bool is_switch() const { return value.empty(); }
};

struct PositionalRow {
  std::string name = {};  // "FILE"
  std::string help = {};
  ValueKind kind = ValueKind::kText;
  bool is_required = true;
  bool is_repeatable = false;
  std::vector<std::string> choices = {};
  Names names = Names::kNone;
};

// Something without which a command makes no sense, and that one of several options can give.
struct NeedRow {
  std::vector<std::string> flags = {};
  std::string says = {};  // "a prompt: -p \"a red fox\"": what is missing and how to give it
};

struct Example {
  std::string words;  // without "lowrank"; runs as it stands with the starter model and files of these names
  std::string help;
};

enum class Side { kLight, kEngine };

struct CommandRow {
  std::string name = {};  // "train lora"
  std::string summary = {};
  Side side = Side::kLight;
  int (*run)(const Invocation& invocation) = nullptr;  // light commands; an exit status
  std::vector<PositionalRow> positionals = {};
  std::vector<OptionRow> options = {};
  std::vector<NeedRow> needs = {};
  std::vector<Example> examples = {};
  std::string more = {};  // paragraphs for help and man page
};

}  // namespace lowrank::cli
