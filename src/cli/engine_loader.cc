#include "cli/engine_loader.h"

#include <dlfcn.h>

#include <cstdio>
#include <cstdlib>
#include <filesystem>

#include "base/error.h"
#include "cli/engine_interface.h"
#include "cli/recipe_prompt.h"
#include "library/data_dir.h"

namespace lowrank::cli {
namespace {

namespace fs = std::filesystem;

fs::path engine_file() {
  std::error_code failure;
  const fs::path folder = fs::canonical("/proc/self/exe", failure).parent_path();
  const fs::path beside = folder / kEngineLibrary;
  const fs::path installed = folder.parent_path() / "lib" / "lowrank" / kEngineLibrary;
  for (const fs::path& file : {beside, installed})
    if (fs::exists(file, failure)) return file;
  throw Error(kNotFound, "the engine is missing: neither {} nor {} exists; build or install it.",
              beside.string(), installed.string());
}

}  // namespace

int run_in_engine(const Invocation& asked) {
  Invocation invocation = asked;
  apply_recipes(invocation);
  // Where the data are is decided here, by one rule for all commands.
  for (const OptionRow& option : invocation.command->options)
    if (option.flag == "data-dir")
      invocation.options["data-dir"] = {library::find_data_dir(invocation.value("data-dir")).root.string()};
  const std::string text = write_call(invocation.command->name, invocation);
  setenv("OMP_WAIT_POLICY", "passive", 0);
  setenv("OPENBLAS_NUM_THREADS", "1", 0);
  const fs::path file = engine_file();
  void* library = dlopen(file.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (library == nullptr) throw Error(kIo, "the engine could not be opened: {}.", dlerror());
  const auto function = reinterpret_cast<EngineFunction>(dlsym(library, kEngineFunction));
  if (function == nullptr)
    throw Error(kIo, "{}: is not the engine of this program ({} is missing).", file.string(),
                kEngineFunction);
  const int status = function(text.c_str());
  std::fflush(nullptr);
  // The library stays open: libtorch's threads may still be in it. Skipping its destructors saves time at the
  // end.
  std::_Exit(status);
}

}  // namespace lowrank::cli
