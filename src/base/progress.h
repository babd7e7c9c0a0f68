// How long work reports itself and how it is stopped. Lower rooms report facts; who shows them (a bar on the
// terminal, a field of the HTTP API, nobody) is decided above.
#pragma once

#include <cstdint>
#include <stop_token>
#include <string_view>

#include "base/error.h"

namespace lowrank {

class Progress {
 public:
  virtual ~Progress() = default;
  // `done` of `total` units of the named phase are finished; total 0 means unknown. Called from one thread.
  virtual void update(std::string_view phase, std::int64_t done, std::int64_t total) = 0;
};

// Throws Error(kCancelled) when a stop was requested.
inline void throw_if_stopped(const std::stop_token& stop) {
  if (stop.stop_requested()) throw Error(kCancelled, "stopped on request.");
}

}  // namespace lowrank
