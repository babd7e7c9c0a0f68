// The memory of libtorch's CPU tensors: one range of addresses in which each tensor gets the lowest gap that it
// fits into. A step of sampling makes and drops the same maps again and again; after the first one they fall where
// maps lay before, and the system is asked for nothing: given back each time, they would cost a page fault per
// 4 KB and the zeroing of every page, some 6 % of a step. Lowest first keeps the range as short as its tensors allow.
#pragma once

#include <cstdint>

namespace lowrank::tensor {

// From now on, in the whole process, new tensors of 64 KB and more live in the arena, and gaps keep their memory.
// Smaller tensors live as ever.
void use_arena();

// New tensors live elsewhere again. Gives the memory of all gaps back to the system, and of those to come.
void release_arena();

// While it lives, this thread's new tensors leave so many bytes free below them, for a larger tensor that comes next,
// after the memory at `leaving` was given back. Else it would lie above them, and they would leave a gap that fits nothing.
// One at a time.
class RoomBelow {
 public:
  explicit RoomBelow(std::int64_t bytes, const void* leaving = nullptr);
  ~RoomBelow();
  RoomBelow(const RoomBelow&) = delete;
  RoomBelow& operator=(const RoomBelow&) = delete;
};

// Bytes from the arena's begin to the end of its last tensor: what it takes at most. The highest since the last
// call of highest_arena_bytes(true).
std::int64_t arena_bytes();
std::int64_t highest_arena_bytes(bool forget = false);

// How often memory that the arena had not, or no more, was asked of the system.
std::int64_t arena_growths();

}  // namespace lowrank::tensor
