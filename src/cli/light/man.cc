// `lowrank man`: the manual page in man(7) markup, made from the command table; and `lowrank version`.
#include <fmt/format.h>

#include "cli/help.h"
#include "cli/invocation.h"
#include "cli/light/commands.h"

namespace lowrank::cli {
namespace {

// Text for roff: backslashes and hyphens escaped, a leading dot or quote made harmless.
std::string roff(std::string_view text) {
  std::string out;
  for (const char c : text) {
    if (c == '\\') {
      out += "\\e";
    } else if (c == '-') {
      out += "\\-";
    } else {
      out += c;
    }
  }
  return out.starts_with('.') || out.starts_with('\'') ? "\\&" + out : out;
}

void print_command(const CommandRow& command) {
  fmt::print(".SS {}\n{}.\n.PP\n.B {}\n", roff(command.name), roff(command.summary), roff(usage(command)));
  for (const auto& positional : command.positionals)
    fmt::print(".TP\n.I {}\n{}\n", roff(positional.name), roff(positional.help));
  for (const auto& option : command.options) {
    const std::string letter = option.letter != 0 ? fmt::format("\\fB\\-{}\\fR, ", option.letter) : "";
    const std::string value = option.is_switch() ? "" : " \\fI" + roff(option.value) + "\\fR";
    fmt::print(".TP\n{}\\fB\\-\\-{}\\fR{}\n{}\n", letter, roff(option.flag), value,
               roff(option.help + option_facts(option)));
    if (option.choices.size() > 5)
      fmt::print("Values: {}.\n", roff(fmt::format("{}", fmt::join(option.choices, ", "))));
  }
  if (!command.more.empty()) fmt::print(".PP\n{}\n", roff(command.more));
  if (!command.examples.empty()) fmt::print(".PP\nExamples:\n");
  for (const auto& example : command.examples) {
    fmt::print(".PP\n.RS\n.nf\nlowrank {}\n.fi\n.RE\n", roff(example.words));
    if (!example.help.empty()) fmt::print(".RS\n{}\n.RE\n", roff(example.help));
  }
}

}  // namespace

int man(const Invocation&) {
  fmt::print(
      ".TH LOWRANK 1 \"\" \"LowRank {}\" \"User Commands\"\n"
      ".SH NAME\nlowrank \\- generate pictures with Stable Diffusion and SDXL models and LoRAs, and train "
      "both\n"
      ".SH SYNOPSIS\n.B lowrank\n.I COMMAND\n[\\fIOPTIONS\\fR]\n.SH COMMANDS\n",
      LOWRANK_VERSION);
  for (const auto& command : command_table()) print_command(command);
  fmt::print(".SH FILES\n{}\n", roff(data_folder_help()));
  fmt::print(
      ".SH EXIT STATUS\n0 success, 1 runtime error, 2 bad input, 130 stopped by Ctrl\\-C.\n"
      ".SH ENVIRONMENT\n.TP\n.B LOWRANK_DATA_DIR\nthe data folder if \\-\\-data\\-dir is not given\n"
      ".TP\n.B XDG_CACHE_HOME\n(~/.cache) its lowrank/ contains the index and packed weights; safe to "
      "delete\n"
      ".TP\n.B XDG_DATA_HOME\n(~/.local/share) its lowrank/ contains notes on LoRAs in read\\-only folders\n"
      ".TP\n.B XDG_STATE_HOME\n(~/.local/state) its lowrank/ contains the queue and options of serve\n"
      ".TP\n.B XDG_CONFIG_HOME\n(~/.config) its lowrank/tokens contains the access tokens of the sites\n");
  return 0;
}

int version(const Invocation&) {
  fmt::print("lowrank {}\n", LOWRANK_VERSION);
  return 0;
}

}  // namespace lowrank::cli
