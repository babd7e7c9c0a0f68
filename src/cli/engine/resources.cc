#include "cli/engine/resources.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/error.h"
#include "base/files_below.h"
#include "base/text/text.h"
#include "cli/engine/commands.h"
#include "formats/upscaler_file.h"
#include "library/data_dir.h"
#include "library/index/place_table.h"
#include "library/index/state_dir.h"
#include "library/library.h"
#include "library/near_names.h"
#include "library/unread_models.h"

namespace lowrank::cli {
namespace {

namespace fs = std::filesystem;

std::vector<fs::path> weight_files(const fs::path& folder) {
  return files_below(folder, {".safetensors", ".ckpt", ".pt"});
}

// "did you mean A or B?", or what there is to choose from.
std::string suggestion(const std::string& name, const std::vector<std::string>& known,
                       const fs::path& folder) {
  if (known.empty()) return fmt::format("{} holds none; put the file there.", folder.string());
  const auto near = library::near_names(name, known);
  if (near.empty()) return fmt::format("no name in {} comes near.", folder.string());
  return fmt::format("did you mean {}?", fmt::join(near, " or "));
}

std::vector<std::string> stems(const std::vector<fs::path>& files) {
  std::vector<std::string> names;
  for (const auto& file : files) names.push_back(file.stem().string());
  return names;
}

// The file among `files` that `name` means: a stem, a file name, or a path below the folder with or without
// extension.
std::optional<fs::path> named(const std::vector<fs::path>& files, const fs::path& folder,
                              const std::string& name) {
  for (const auto& file : files) {
    const fs::path relative = file.lexically_relative(folder);
    if (file.stem() == name || file.filename() == name || relative == name ||
        relative.parent_path() / file.stem() == name)
      return file;
  }
  return std::nullopt;
}

// `told`: whether it was said already that another model stands in.
fs::path find_checkpoint(const library::DataDir& data, const std::string& asked, bool& told) {
  const std::string name = asked.substr(0, asked.find(" ["));  // A1111 writes "NAME [HASH]"
  const fs::path folder = data.checkpoints();
  if (!asked.empty() && fs::exists(asked)) return asked;
  if (asked.empty()) {
    const fs::path file = library::default_checkpoint(data);
    if (const std::string notice = told ? "" : library::default_checkpoint_notice(data, file);
        !notice.empty())
      fmt::print(stderr, "warning: {}\n", notice);
    told = true;
    if (!file.empty()) return file;
    throw Error(
        kNotFound,
        "there is no checkpoint in {}; put a Stable Diffusion 1.x file there, or name one with --model.",
        folder.string());
  }
  const auto files = library::all_checkpoints(data);
  for (const fs::path& each : library::folders_of_kind("checkpoint", data))
    if (const auto file = named(files, each, name)) return *file;
  if (const auto file = named(files, folder, name)) return *file;
  throw Error(kNotFound, "there is no checkpoint '{}': {}", asked, suggestion(name, stems(files), folder));
}

// By name, alias, path, former name or hash, from the index of the collection. Looks again when a name is
// missing or its file has gone: files may be added while a session lives.
pipeline::LoraFinder lora_finder(const library::DataDir& data) {
  return [data, library = std::make_shared<std::optional<library::Library>>()](const std::string& name) {
    if (!*library) {
      library->emplace(library::Library::open(data));
    } else {
      if (const auto known = (*library)->find_lora(name)) {
        const fs::path path = (*library)->path_of(known->record);
        if (fs::exists(path)) return path;
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

std::optional<fs::path> find_vae(const fs::path& folder, const std::string& name,
                                 const fs::path& checkpoint) {
  if (name == "None") return std::nullopt;
  const auto files = weight_files(folder);
  if (name == "Automatic" || name.empty()) {
    std::vector<fs::path> candidates = files;
    for (const char* extension : {".vae.safetensors", ".vae.pt", ".vae.ckpt"})
      candidates.push_back(checkpoint.parent_path() / (checkpoint.stem().string() + extension));
    for (const auto& file : candidates)
      if (file.stem() == checkpoint.stem().string() + ".vae" && fs::exists(file)) return file;
    return std::nullopt;
  }
  if (const auto file = named(files, folder, name)) return file;
  if (fs::exists(name)) return name;
  throw Error(kNotFound, "there is no VAE '{}': {}", name, suggestion(name, stems(files), folder));
}

}  // namespace

void tell_unread_folders(const fs::path& data_dir) {
  for (const std::string& problem : library::unread_folders(library::find_data_dir(data_dir.string())))
    fmt::print(stderr, "warning: {}\n", problem);
}

pipeline::Resources resources(const fs::path& data_dir) {
  const library::DataDir data = library::find_data_dir(data_dir.string());
  pipeline::Resources found;
  found.checkpoint = [data, told = std::make_shared<bool>()](const std::string& name) {
    return find_checkpoint(data, name, *told);
  };
  found.lora = lora_finder(data);
  found.vae = [folder = data.vaes()](const std::string& name, const fs::path& checkpoint) {
    return find_vae(folder, name, checkpoint);
  };
  found.upscalers = [folders = data.upscalers()] {
    std::vector<fs::path> files;
    for (const auto& folder : folders)
      for (auto& file : formats::find_upscalers(folder)) files.push_back(std::move(file));
    return files;
  };
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
