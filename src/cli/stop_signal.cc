#include "cli/stop_signal.h"

#include <fcntl.h>
#include <signal.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>

#include "base/error.h"

namespace lowrank::cli {
namespace {

// The handler may only do what is safe in a signal: it writes one byte, and the watcher thread does the rest.
std::atomic<int> wake_descriptor{-1};

void on_signal(int) {
  const int saved = errno;
  const char byte = 1;
  [[maybe_unused]] const auto written = write(wake_descriptor.load(), &byte, 1);
  errno = saved;
}

void install(void (*handler)(int), int flags) {
  struct sigaction action {};
  action.sa_handler = handler;
  action.sa_flags = flags;
  sigemptyset(&action.sa_mask);
  for (const int signal : {SIGINT, SIGTERM, SIGHUP}) {
    struct sigaction before {};
    sigaction(signal, nullptr, &before);
    if (signal != SIGHUP || before.sa_handler != SIG_IGN) sigaction(signal, &action, nullptr);
  }
}

}  // namespace

StopSignal::StopSignal() {
  if (pipe2(pipe_, O_CLOEXEC) != 0) throw Error(kIo, "cannot open a pipe; too many files are open.");
  wake_descriptor = pipe_[1];
  watcher_ = std::thread([this] {
    char byte = 0;
    if (read(pipe_[0], &byte, 1) == 1 && byte == 1) source_.request_stop();
  });
  install(on_signal,
          static_cast<int>(SA_RESETHAND) | SA_RESTART);  // the second signal finds the default action
}

StopSignal::~StopSignal() {
  install(SIG_DFL, 0);
  wake_descriptor = -1;
  const char byte = 0;
  [[maybe_unused]] const auto written = write(pipe_[1], &byte, 1);
  watcher_.join();
  close(pipe_[0]);
  close(pipe_[1]);
}

}  // namespace lowrank::cli
