// LoRA tags inside prompt editing: `[<lora:a:1>::0.5]` acts in the first half, `[<lora:a:1>|<lora:b:1>]` in turns. The
// tags are cut out of the text before its brackets are read, as A1111 does; here their places are kept, and the
// brackets around a tag say when it acts. (A1111 lets such a tag act all the time.)
#pragma once

#include <string_view>

#include "prompt/grammar/extra_networks.h"
#include "prompt/grammar/schedule.h"

namespace lowrank::prompt {

// Fills `times` of the LoRAs of `networks`, which parse_extra_networks read from `prompt`, well-formed UTF-8. A tag
// that every text of its piece holds keeps none. Throws what resolve_schedule throws.
void find_tag_times(std::string_view prompt, ExtraNetworks& networks, const ScheduleSteps& steps);

}  // namespace lowrank::prompt
