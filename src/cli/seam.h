// The seam between the `lowrank` executable and the engine library: one C function, one JSON text. The
// executable opens the library only for commands that need it; no type and no exception crosses.
//
// Before opening the library the executable sets OMP_WAIT_POLICY=passive unless the user has set it: threads
// that spin while they wait make each other a hundred times slower on a busy machine, and libgomp reads the
// variable only once.
#pragma once

namespace lowrank::cli {

inline constexpr char kEngineLibrary[] = "liblowrank_engine.so";
inline constexpr char kEngineFunction[] = "lowrank_engine_main";

// {"command": "txt2img", "words": ["-p", "a red fox", "--steps", "20"]}: the command's name as typed ("model
// random", "train lora"), and the words behind it. Returns the exit status; what went wrong has been said on
// standard error.
using EngineFunction = int (*)(const char* request);

}  // namespace lowrank::cli
