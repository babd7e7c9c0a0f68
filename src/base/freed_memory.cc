#include "base/freed_memory.h"

#include <malloc.h>

namespace lowrank {

void give_back_freed_memory() {
  malloc_trim(0);
}

}  // namespace lowrank
