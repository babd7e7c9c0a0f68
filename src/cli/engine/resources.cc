#include "cli/engine/resources.h"

#include <fmt/format.h>

#include <cstdio>
#include <cstdlib>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/error.h"
#include "base/log_line.h"
#include "base/text/text.h"
#include "cli/engine/commands.h"
#include "library/data_dir.h"
#include "library/fitting_checkpoints.h"
#include "library/index/state_dir.h"
#include "library/library.h"
#include "library/misplaced_models.h"
#include "library/model_names.h"

namespace lowrank::cli {
namespace {

namespace fs = std::filesystem;

// `told`: whether it was said already that another model stands in.
fs::path find_checkpoint(const library::DataDir& data, const std::string& asked, bool& told) {
  if (!asked.empty()) return library::resolve_checkpoint(data, asked, library::remembered_hashes());
  const fs::path file = library::default_checkpoint(data);
  if (const std::string notice = told ? "" : library::default_checkpoint_notice(data, file); !notice.empty())
    log_line(stderr, "warning: {}\n", notice);
  told = true;
  if (!file.empty()) return file;
  throw Error(kNotFound,
              "no checkpoint in {}; put a Stable Diffusion checkpoint there, or choose one with --model.",
              data.checkpoints().string());
}

// By name, alias, path, former name or hash, from the index of the collection. Looks again when a name is
// missing or its file has gone: files may be added while a session lives.
using SharedLibrary = std::shared_ptr<std::optional<library::Library>>;

pipeline::LoraFinder lora_finder(const library::DataDir& data, const SharedLibrary& library) {
  return [data, library](const std::string& name) {
    if (!*library) {
      library->emplace(library::Library::open(data));
    } else {
      if (const auto known = (*library)->find_lora(name)) {
        const fs::path path = (*library)->path_of(known->record);
        std::error_code failure;  // what cannot be reached is looked for again, and then told
        if (fs::exists(path, failure)) return path;
      }
      (*library)->rescan();
    }
    try {
      return (*library)->path_of((*library)->resolve(name).record);
    } catch (const Error& error) {
      // What lies in a folder that cannot be read is not missing.
      if (error.code() == kNotFound) library::check_readable(data.loras());
      throw;
    }
  };
}

std::optional<fs::path> find_vae(const library::DataDir& data, const std::string& name,
                                 const fs::path& checkpoint) {
  if (name == "None") return std::nullopt;
  if (name == "Automatic" || name.empty()) return library::vae_of(data, checkpoint);
  return library::resolve_vae(data, name);
}

}  // namespace

void warn_unreadable_folders(const fs::path& data_dir) {
  for (const std::string& problem : library::unreadable_folders(library::find_data_dir(data_dir.string())))
    log_line(stderr, "warning: {}\n", problem);
}

pipeline::Resources resources(const fs::path& data_dir) {
  const library::DataDir data = library::find_data_dir(data_dir.string());
  pipeline::Resources found;
  found.checkpoint = [data, told = std::make_shared<bool>()](const std::string& name) {
    return find_checkpoint(data, name, *told);
  };
  const auto library = std::make_shared<std::optional<library::Library>>();
  found.lora = lora_finder(data, library);
  found.fitting_checkpoints = [data, library](const formats::LoraFile& lora) {
    if (!*library) library->emplace(library::Library::open(data));
    return library::FittingCheckpoints(**library).of(lora);
  };
  found.vae = [data](const std::string& name, const fs::path& checkpoint) {
    return find_vae(data, name, checkpoint);
  };
  found.upscalers = [data] { return library::files_of_kind("upscaler", data); };
  found.tiny_autoencoders = [data] { return library::files_of_kind("tiny-autoencoder", data); };
  found.embeddings = data.embeddings();
  found.styles = data.styles();
  return found;
}

pipeline::SessionOptions session_options(int threads, bool int8, const prompt::PromptLimits& prompt_limits) {
  pipeline::SessionOptions options{.threads = threads, .version = version_text()};
  options.int8 = int8;
  options.prompt_limits = prompt_limits;
  options.packed_cache.folder = library::packed_folder();
  if (const char* limit = std::getenv("LOWRANK_PACKED_CACHE_GB"); limit != nullptr && *limit != 0) {
    const auto gigabytes = parse_number(limit);
    if (!gigabytes || *gigabytes < 0 || *gigabytes > 1e6)
      throw Error(kBadInput, "LOWRANK_PACKED_CACHE_GB is '{}', but must be a number of gigabytes.", limit);
    options.packed_cache.limit_bytes = static_cast<std::int64_t>(*gigabytes * (1 << 30));
  }
  return options;
}

}  // namespace lowrank::cli
