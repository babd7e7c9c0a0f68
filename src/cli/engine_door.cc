#include "cli/engine_door.h"

#include <dlfcn.h>

#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "base/error.h"
#include "cli/recipe_prompt.h"
#include "cli/seam.h"
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
  throw Error(kNotFound, "the engine is missing: neither {} nor {} exists; build or install it first.",
              beside.string(), installed.string());
}

// Every option under its one name, so that aliases need not be known below.
std::vector<std::string> engine_words(const Invocation& invocation) {
  std::vector<std::string> words;
  bool takes_data_dir = false;
  for (const OptionRow& option : invocation.command->options) {
    takes_data_dir = takes_data_dir || option.flag == "data-dir";
    const auto given = invocation.options.find(option.flag);
    if (given == invocation.options.end() || option.flag == "data-dir") continue;
    if (option.flag == "zero-terminal-snr") {
      words.insert(words.end(), {"--noise-schedule", "Zero Terminal SNR"});
    } else if (option.is_switch()) {
      words.push_back("--" + option.flag);
    } else {
      for (const auto& value : given->second) words.insert(words.end(), {"--" + option.flag, value});
    }
  }
  const auto add_places = [&] {
    if (invocation.places.empty()) return;
    words.emplace_back("--");
    words.insert(words.end(), invocation.places.begin(), invocation.places.end());
  };
  if (takes_data_dir)
    words.insert(words.end(),
                 {"--data-dir", library::find_data_dir(invocation.value("data-dir")).root.string()});
  add_places();
  return words;
}

}  // namespace

int run_in_engine(const Invocation& asked) {
  Invocation invocation = asked;
  apply_recipes(invocation);
  const nlohmann::json request = {{"command", invocation.command->name}, {"words", engine_words(invocation)}};
  const std::string text = request.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
  setenv("OMP_WAIT_POLICY", "passive", 0);
  setenv("OPENBLAS_NUM_THREADS", "1", 0);
  const fs::path file = engine_file();
  void* library = dlopen(file.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (library == nullptr) throw Error(kIo, "the engine could not be opened: {}.", dlerror());
  const auto function = reinterpret_cast<EngineFunction>(dlsym(library, kEngineFunction));
  if (function == nullptr)
    throw Error(kIo, "{}: is no engine of this program (it lacks {}).", file.string(), kEngineFunction);
  const int status = function(text.c_str());
  std::fflush(nullptr);
  // The library stays open: libtorch's threads may still be in it. Skipping its destructors saves time at the
  // end.
  std::_Exit(status);
}

}  // namespace lowrank::cli
