// The one door to threads outside libtorch. Work is cut the same way whatever the thread count, so results do
// not depend on it.
#pragma once

#include <cstdint>
#include <functional>

namespace lowrank {

// Calls body(i) for i in [0, count), on at most `threads` threads (0: all cores), of which the caller is one.
// Waits for all; the first exception is rethrown here. body must not care about order. The helpers sleep
// between calls; while they work for one caller, a second caller does its work alone. With $LOWRANK_PIN_THREADS=1 each
// helper keeps to a processor of its own; the caller, whose threads would inherit its place, goes where there is room.
void parallel_for(std::int64_t count, int threads, const std::function<void(std::int64_t)>& body);

}  // namespace lowrank
