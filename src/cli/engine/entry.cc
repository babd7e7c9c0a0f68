// The one door into the engine library: `lowrank` opens the library only for commands that need it and passes
// them through a C function. No exception leaves; what went wrong is one sentence on standard error and an
// exit status.
#include <fmt/format.h>

#include <malloc.h>

#include <exception>
#include <filesystem>
#include <limits>
#include <new>
#include <string>
#include <type_traits>
#include <vector>

#include "base/error.h"
#include "base/file_error.h"
#include "base/log_line.h"
#include "cli/engine/commands.h"
#include "cli/engine/resources.h"
#include "cli/engine/train_lora.h"
#include "cli/engine_interface.h"
#include "cli/stop_signal.h"
#include "kernels/simd_limit.h"
#include "pipeline/blas_check.h"

namespace lowrank::cli {
namespace {

int run_train_lora(const CommandCall& call) {
  return train_lora_command(read_train_lora(call.arguments), {.resources = resources,
                                                              .stop = call.stop,
                                                              .version = version_text(),
                                                              .out = stdout,
                                                              .progress = stderr});
}

constexpr std::string_view kNoMemory = "error: out of memory; use a smaller size or batch.";

struct EngineCommand {
  std::string_view name;
  int (*run)(const CommandCall& call);
};

constexpr EngineCommand kCommands[] = {
    {"txt2img", txt2img},
    {"img2img", img2img},
    {"extras", extras},
    {"xyz", xyz},
    {"matrix", matrix},
    {"prompts", prompts},
    {"bench", bench},
    {"model random", model_random},
    {"train lora", run_train_lora},
    {"train base", train_base},
    {"train sheet", train_sheet},
    {"train check", train_check},
    {"train tags", train_tags},
    {"serve", serve},
    {"lora merge", lora_merge},
    {"lora resize", lora_resize},
    {"lora extract", lora_extract},
    {"lora scale", lora_scale},
    {"lora split", lora_split},
    {"lora strip", lora_strip},
    {"lora set", lora_set},
};

// Activations of a step are of a few sizes that come back at once. glibc's defaults give them to the kernel
// and take them again, page fault by page fault; kept, they cost nothing.
void keep_freed_memory() {
  mallopt(M_MMAP_THRESHOLD, 32 << 20);
  mallopt(M_TRIM_THRESHOLD, std::numeric_limits<int>::max());
  mallopt(M_TOP_PAD, 64 << 20);
}

int run(const CommandText& call) {
  for (const EngineCommand& command : kCommands) {
    if (command.name != call.command) continue;
    kernels::limit_simd_as_asked();
    if (const auto warning = pipeline::slow_blas_warning()) log_line(stderr, "warning: {}\n", *warning);
    keep_freed_memory();
    const StopSignal signal;
    return command.run({call.arguments, signal.token()});
  }
  throw Error(kInternal, "the engine has no command '{}'; the engine and the program are different versions.",
              call.command);
}

}  // namespace

std::string version_text() {
  return "LowRank " LOWRANK_VERSION;
}

}  // namespace lowrank::cli

extern "C" __attribute__((visibility("default"))) int lowrank_engine_main(const char* request);
static_assert(std::is_same_v<decltype(&lowrank_engine_main), lowrank::cli::EngineFunction>);

int lowrank_engine_main(const char* request) {
  using namespace lowrank;
  try {
    return cli::run(cli::read_call(request));
  } catch (const Error& error) {
    log_line(stderr, "{}{}\n", error.code() == kCancelled ? "" : "error: ", error.what());
    return exit_status(error.code());
  } catch (const std::filesystem::filesystem_error& error) {
    log_line(stderr, "error: {}\n", file_error(error).what());
  } catch (const std::bad_alloc&) {
    log_line(stderr, "{}\n", cli::kNoMemory);
  } catch (const std::exception& error) {
    // libtorch's messages go on with a backtrace, and its allocator has no exception type of its own.
    const std::string_view text = error.what();
    const bool no_memory = text.find("can't allocate memory") != std::string_view::npos;
    log_line(
        stderr, "{}\n",
        no_memory ? std::string(cli::kNoMemory) : fmt::format("error: {}", text.substr(0, text.find('\n'))));
  }
  return 1;
}
