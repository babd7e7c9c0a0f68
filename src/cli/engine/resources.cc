#include "cli/engine/resources.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "base/error.h"
#include "formats/checkpoint.h"
#include "prompt/text.h"
#include "weights/tensor_file.h"

namespace lowrank::cli {
namespace {

namespace fs = std::filesystem;

bool has_weight_extension(const fs::path& path) {
  const std::string extension = prompt::lower(path.extension().string());
  return extension == ".safetensors" || extension == ".ckpt" || extension == ".pt";
}

// Weight files in `folder` and below, in byte order of their paths.
std::vector<fs::path> weight_files(const fs::path& folder) {
  std::vector<fs::path> files;
  std::error_code failure;
  for (fs::recursive_directory_iterator it(folder, fs::directory_options::follow_directory_symlink, failure),
       end;
       !failure && it != end; it.increment(failure)) {
    std::error_code ignored;
    if (it->is_regular_file(ignored) && has_weight_extension(it->path())) files.push_back(it->path());
  }
  std::ranges::sort(files);
  return files;
}

// Number of single-character edits between two words (Levenshtein 1966).
std::size_t distance(std::string_view a, std::string_view b) {
  std::vector<std::size_t> row(b.size() + 1);
  for (std::size_t j = 0; j <= b.size(); ++j) row[j] = j;
  for (std::size_t i = 1; i <= a.size(); ++i) {
    std::size_t diagonal = row[0]++;
    for (std::size_t j = 1; j <= b.size(); ++j) {
      const std::size_t above = row[j];
      row[j] = std::min({above + 1, row[j - 1] + 1, diagonal + (a[i - 1] == b[j - 1] ? 0u : 1u)});
      diagonal = above;
    }
  }
  return row[b.size()];
}

// "did you mean A or B?" with up to three names that come near, or what there is to choose from.
std::string suggestion(const std::string& name, std::vector<std::string> known, const fs::path& folder) {
  if (known.empty()) return fmt::format("{} holds none; put the file there.", folder.string());
  const std::string wanted = prompt::lower(name);
  const auto far = [&](const std::string& other) {
    const std::string lower = prompt::lower(other);
    return lower.find(wanted) != std::string::npos || wanted.find(lower) != std::string::npos
               ? 0
               : distance(wanted, lower);
  };
  std::ranges::stable_sort(known, {}, far);
  std::erase_if(known, [&](const std::string& other) {
    return far(other) > std::max<std::size_t>(2, wanted.size() / 2);
  });
  if (known.empty()) return fmt::format("no name in {} comes near.", folder.string());
  known.resize(std::min<std::size_t>(known.size(), 3));
  return fmt::format("did you mean {}?", fmt::join(known, " or "));
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

fs::path find_checkpoint(const fs::path& folder, const std::string& asked) {
  const std::string name = asked.substr(0, asked.find(" ["));  // A1111 writes "NAME [HASH]"
  if (!asked.empty() && fs::exists(asked)) return asked;
  const auto files = formats::find_checkpoints(folder);
  if (asked.empty()) {
    const auto newest =
        std::ranges::max_element(files, {}, [](const fs::path& file) { return fs::last_write_time(file); });
    if (newest == files.end())
      throw Error(
          kNotFound,
          "there is no checkpoint in {}; put a Stable Diffusion 1.x file there, or name one with --model.",
          folder.string());
    return *newest;
  }
  if (const auto file = named(files, folder, name)) return *file;
  throw Error(kNotFound, "there is no checkpoint '{}': {}", asked, suggestion(name, stems(files), folder));
}

// By file name, else by the name that the trainer gave it.
fs::path find_lora(const fs::path& folder, const std::string& name) {
  const auto files = weight_files(folder);
  for (const auto& file : files)
    if (file.stem() == name) return file;
  for (const auto& file : files) {
    if (prompt::lower(file.extension().string()) != ".safetensors") continue;
    const auto metadata = weights::TensorFile::open(file)->metadata();
    const auto alias = metadata.find("ss_output_name");
    if (alias != metadata.end() && alias->second == name) return file;
  }
  throw Error(kNotFound, "there is no LoRA '{}': {}", name, suggestion(name, stems(files), folder));
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

pipeline::Resources resources(const fs::path& data_dir) {
  if (!fs::is_directory(data_dir))
    throw Error(kNotFound, "--data-dir {} is no folder; name the one that holds models/ and embeddings/.",
                data_dir.string());
  const fs::path models = data_dir / "models";
  pipeline::Resources found;
  found.checkpoint = [folder = models / "Stable-diffusion"](const std::string& name) {
    return find_checkpoint(folder, name);
  };
  found.lora = [folder = models / "Lora"](const std::string& name) { return find_lora(folder, name); };
  found.vae = [folder = models / "VAE"](const std::string& name, const fs::path& checkpoint) {
    return find_vae(folder, name, checkpoint);
  };
  found.embeddings = data_dir / "embeddings";
  found.styles = data_dir / "styles.csv";
  return found;
}

}  // namespace lowrank::cli
