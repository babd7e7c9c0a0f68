// The interface between the `lowrank` executable and the engine library: one C function, one JSON text. The
// executable opens the library only for commands that need it; no type and no exception crosses.
//
// Before opening the library the executable sets OMP_WAIT_POLICY=passive and OPENBLAS_NUM_THREADS=1 unless
// the user has set them. Threads that spin or yield while they wait slow each other down many times over
// as soon as other programs are busy; both libraries read their variable only once. OpenBLAS has no
// other way of waiting, so libtorch's products go without its threads; the large ones are our kernels'.
#pragma once

namespace lowrank::cli {

inline constexpr char kEngineLibrary[] = "liblowrank_engine.so";
inline constexpr char kEngineFunction[] = "lowrank_engine_main";

// {"command": "txt2img", "options": {"prompt": ["a red fox"]}, "defaults": {"steps": "20"}, "places": []}: the
// command's name as typed ("model random", "train lora") and its arguments (arguments.h), checked. Returns the exit
// status; what went wrong has been said on standard error.
using EngineFunction = int (*)(const char* request);

}  // namespace lowrank::cli
