// `lowrank`: one command with sub-commands. What is light is done here; what needs tensors is handed to the
// engine.
#include <fmt/format.h>

#include <cerrno>
#include <csignal>
#include <cstdio>
#include <exception>
#include <filesystem>
#include <span>
#include <string>
#include <vector>

#include "base/error.h"
#include "base/file_error.h"
#include "base/log_line.h"
#include "cli/engine_loader.h"
#include "cli/help.h"
#include "cli/invocation.h"

namespace lowrank::cli {
namespace {

bool asks_help(const std::string& word) {
  return word == "--help" || word == "-h" || word == "help";
}

int run_command(std::span<const std::string> words) {
  const auto [command, name_words] = match_command(words);
  const Invocation invocation = parse_words(*command, words.subspan(name_words));
  if (invocation.wants_help) {
    fmt::print("{}", command_help(*command));
    return 0;
  }
  return command->side == Side::kEngine ? run_in_engine(invocation) : command->run(invocation);
}

// The help of one command, of the commands of a group, or of the program.
int print_help(std::span<const std::string> words) {
  if (words.empty()) {
    fmt::print("{}", program_help());
    return 0;
  }
  const auto group = commands_of_group(words.front());
  if (!group.empty() && words.size() == 1) {
    for (const auto* command : group) fmt::print("  lowrank {:<16} {}\n", command->name, command->summary);
    return 0;
  }
  fmt::print("{}", command_help(*match_command(words).command));
  return 0;
}

int run(std::span<const std::string> words) {
  if (words.empty()) {
    log_line(stderr, "{}", program_help());
    return 2;
  }
  for (const char* asked : {"--version", "-v", "-V"})
    if (words.front() == asked) return find_command("version")->run({});
  if (asks_help(words.front())) return print_help(words.subspan(1));
  if (words.size() == 2 && asks_help(words[1]) && !commands_of_group(words.front()).empty() &&
      find_command(words.front()) == nullptr)
    return print_help(words.first(1));
  return run_command(words);
}

}  // namespace
}  // namespace lowrank::cli

int main(int argc, char** argv) {
  using namespace lowrank;
  // Past the shell's limit on file sizes a write fails with a reason, and what was begun is removed, instead of ending
  // the process without a word.
  std::signal(SIGXFSZ, SIG_IGN);
  int status = 1;
  try {
    const std::vector<std::string> words(argv + (argc > 0 ? 1 : 0), argv + argc);
    status = cli::run(words);
    if (std::fflush(stdout) != 0 && errno != EPIPE)
      throw Error(kIo, "cannot write to standard output; is the disk full?");
  } catch (const Error& error) {
    log_line(stderr, "error: {}\n", error.what());
    status = exit_status(error.code());
  } catch (const std::filesystem::filesystem_error& error) {
    log_line(stderr, "error: {}\n", file_error(error).what());
  } catch (const std::exception& error) {
    log_line(stderr, "error: {}\n", error.what());
  }
  return status;
}
