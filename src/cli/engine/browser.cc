#include "cli/engine/browser.h"

#include <fcntl.h>
#include <spawn.h>
#include <sys/wait.h>

#include <cstdlib>
#include <thread>

namespace lowrank::cli {
namespace {

bool is_set(const char* variable) {
  const char* value = std::getenv(variable);
  return value != nullptr && *value != 0;
}

}  // namespace

void open_in_browser(const std::string& url) {
  // Without a desktop xdg-open may start a browser in the terminal, over the server's own words.
  if (!is_set("DISPLAY") && !is_set("WAYLAND_DISPLAY")) return;
  posix_spawn_file_actions_t actions;
  if (posix_spawn_file_actions_init(&actions) != 0) return;
  for (const int stream : {0, 1, 2})
    posix_spawn_file_actions_addopen(&actions, stream, "/dev/null", O_RDWR, 0);
  std::string program = "xdg-open", address = url;
  char* const words[] = {program.data(), address.data(), nullptr};
  pid_t child = 0;
  const bool has_begun = posix_spawnp(&child, words[0], &actions, nullptr, words, environ) == 0;
  posix_spawn_file_actions_destroy(&actions);
  // It may last as long as the browser; nobody else waits for it.
  if (has_begun) std::thread([child] { waitpid(child, nullptr, 0); }).detach();
}

}  // namespace lowrank::cli
