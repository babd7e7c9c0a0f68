// Memory that was freed and that the allocator keeps for later.
#pragma once

namespace lowrank {

// Gives it back to the system: after work of unusual size, as the allocator does not do it by itself while it is told
// to keep what a step of sampling takes again and again (cli/engine/entry.cc). Takes milliseconds.
void give_back_freed_memory();

}  // namespace lowrank
