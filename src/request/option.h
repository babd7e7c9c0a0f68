// An option of a training (kohya's name where kohya has it, on the command line with hyphens, in requests with
// underscores) or of the server is one row: its name, where its value is kept, its range and its help; of a training also
// whether a resumed run must repeat it, and the metadata it is written to. Command line, help, API, resume key and metadata
// are all derived from the rows, so that none of them can forget an option. Defaults are those of a default-constructed `Job`.
#pragma once

#include <array>
#include <cstdint>
#include <filesystem>
#include <limits>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "request/form_traits.h"

namespace lowrank::request {

// What a resumed run does about an option.
enum class OnResume {
  kUnset,
  kSame,      // it must have the value with which the run began
  kLength,    // it gives the run its length: must be the same when the learning-rate schedule depends on that
  kByEffect,  // not its text is compared but what follows from it: pictures, captions, model, threads, rates
  kFree,      // it may change
};

enum class Place { kNone, kFile, kFolder, kCheckpoint };  // what a text names; a checkpoint by name or file

// A value that is more than a plain field. `get` gives "" for an option that is not set, else a text that `set` takes.
template <class Job>
struct TextField {
  std::string (*get)(const Job& job);
  void (*set)(Job& job, std::string_view text,
              std::string_view name);  // throws Error(kBadInput) naming `name`
};

template <class Job>
using OptionField =
    std::variant<bool& (*)(Job&), int& (*)(Job&), std::int64_t& (*)(Job&), std::uint64_t& (*)(Job&),
                 double& (*)(Job&), std::string& (*)(Job&), std::filesystem::path& (*)(Job&),
                 std::optional<std::int64_t>& (*)(Job&), std::optional<double>& (*)(Job&),
                 std::optional<std::filesystem::path>& (*)(Job&), TextField<Job>>;

// Of OptionOf::metadata, which every row of a training must state: nothing is written.
inline constexpr std::string_view kNoMetadata = "-";

template <class Job>
struct OptionOf {
  std::string_view flag;        // "network-dim"
  std::string_view value = {};  // what stands behind it, "N"; empty: a switch
  std::string_view help;        // begins in lower case, no full stop, no default and no range
  OptionField<Job> field;
  OnResume on_resume = OnResume::kUnset;
  std::string_view metadata = {};  // "ss_network_dim" or kNoMetadata
  double min = -std::numeric_limits<double>::infinity(), max = std::numeric_limits<double>::infinity();
  std::vector<std::string> (*choices)() = nullptr;
  bool only_choices = false;
  std::array<std::string_view, 2> aliases = {};  // other names, with hyphens
  char letter = 0;                               // "-o"; 0: none
  int most_words = 1;                            // on the command line its value may be that many words
  Place place = Place::kNone;
  std::string_view not_in_api = {};              // why a request cannot set it; empty: it can
  std::string (*key)(const Job& job) = nullptr;  // value in the resume key, where it is not the field's text
  std::string (*note)(const Job& job) =
      nullptr;                   // value in the metadata, where it is not the field's as Python writes it
  bool is_noted_by_run = false;  // the metadata's value follows from data or model: the trainer writes it
  FormTraits form = {};

  constexpr bool is_switch() const { return value.empty(); }
};

// Whether a row says what no row of a training may leave open; those tables assert it of their rows. (That a row with only_choices has
// choices is a test's: under sanitizers GCC 12 takes no function's address for a constant.)
template <class Job>
constexpr bool is_complete(const OptionOf<Job>& row) {
  return !row.flag.empty() && !row.help.empty() && row.on_resume != OnResume::kUnset && !row.metadata.empty();
}

inline constexpr double kMaxSteps = 1e9;  // and of other numbers that no one reaches

// "network-dim" → "network_dim".
std::string field_name(std::string_view flag);
// Python's str(): 1.0, 0.0001, 1e-05; True, False.
std::string python_text(double value);
std::string python_text(bool value);

// The row of a name or alias, hyphens or underscores; nullptr: there is none.
template <class Job>
const OptionOf<Job>* find_option(std::span<const OptionOf<Job>> rows, std::string_view name);

// The value as text that set_option takes; "" when it is not set.
template <class Job>
std::string option_text(const OptionOf<Job>& row, const Job& job);

// `name` is how the user wrote it: "--network-dim", "network_dim". A switch takes "", "true" and "false". Throws
// Error(kBadInput) naming it when the text is none of its type, out of range or none of its choices.
template <class Job>
void set_option(const OptionOf<Job>& row, Job& job, std::string_view text, std::string_view name);

// Throws Error(kBadInput) for the first value that set_option would refuse, named by its flag.
template <class Job>
void check_options(std::span<const OptionOf<Job>> rows, const Job& job);

// What the resume key says of the option.
template <class Job>
std::string option_key(const OptionOf<Job>& row, const Job& job);

// What the metadata say of it.
template <class Job>
std::string option_note(const OptionOf<Job>& row, const Job& job);

// JSON Schema's name of its type: "boolean", "integer", "number", "string".
template <class Job>
std::string_view option_type(const OptionOf<Job>& row);

}  // namespace lowrank::request
