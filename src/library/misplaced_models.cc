#include "library/misplaced_models.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <string_view>

#include "base/error.h"
#include "base/files_below.h"
#include "base/text/ascii.h"
#include "formats/checkpoint/checkpoint.h"
#include "library/data_dir.h"
#include "library/index/place_table.h"
#include "library/index/walk.h"

namespace lowrank::library {
namespace {

namespace fs = std::filesystem;

constexpr int kSearchDepth = 4, kSearchedNames = 5000;

// Folders in models/ of other programs whose files are neither checkpoints nor LoRAs. Lower case.
constexpr std::array<std::string_view, 14> kOtherKinds = {
    "starter",    "clip",         "clip_vision", "controlnet",    "text_encoders", "t5",     "vae_approx",
    "vae-approx", "style_models", "gligen",      "hypernetworks", "codeformer",    "gfpgan", "adetailer"};

bool is_folder_at(const fs::path& path) {
  std::error_code failure;
  return fs::is_directory(path, failure);
}

// The first checkpoint or LoRA in a folder and below; empty: none among the names looked at.
class Search {
 public:
  fs::path first_in(const fs::path& folder, int depth = 0) {
    std::error_code failure;
    for (fs::directory_iterator it(folder, failure), end; !failure && it != end; it.increment(failure)) {
      if (++names_ > kSearchedNames) return {};
      std::error_code ignored;
      if (is_system_name(it->path().filename().string())) continue;
      if (it->is_directory(ignored)) {
        if (depth >= kSearchDepth) continue;
        if (const fs::path found = first_in(it->path(), depth + 1); !found.empty()) return found;
      } else if (is_weight_name(it->path()) && it->is_regular_file(ignored)) {
        return it->path();
      }
    }
    return {};
  }

  static bool is_weight_name(const fs::path& path) {
    const std::string ending = lower_ascii(path.extension().string());
    return ending == ".safetensors" || ending == ".ckpt";
  }

 private:
  int names_ = 0;
};

bool is_known_place(const fs::path& folder, const DataDir& data) {
  std::error_code failure;
  return std::ranges::any_of(place_table(), [&](const PlaceRow& place) {
    return !place.is_starter && fs::equivalent(folder_of(place, data), folder, failure);
  });
}

// A folder whose sub-folders bear the names of places: models/ itself was named.
bool is_inside_models(const fs::path& folder) {
  std::error_code failure;
  for (fs::directory_iterator it(folder, failure), end; !failure && it != end; it.increment(failure)) {
    const std::string name = lower_ascii(it->path().filename().string());
    for (const PlaceRow& place : place_table())
      if (place.folder.starts_with("models/") && lower_ascii(place.folder.substr(7)) == name &&
          is_folder_at(it->path()))
        return true;
  }
  return false;
}

fs::path models_folder(const DataDir& data) {
  std::error_code failure;
  for (fs::directory_iterator it(data.root, failure), end; !failure && it != end; it.increment(failure))
    if (lower_ascii(it->path().filename().string()) == "models" && is_folder_at(it->path()))
      return it->path();
  return {};
}

// Why a checkpoint cannot be used, without the stop at the end; "" when it can.
std::string unusable_because(const fs::path& checkpoint) {
  std::string why;
  try {
    formats::open_checkpoint(checkpoint);
  } catch (const Error& error) {
    why = error.what();
  }
  if (why.ends_with('.')) why.pop_back();
  return why;
}

}  // namespace

std::string misplaced_models(const DataDir& data) {
  if (!is_folder_at(data.root)) return "";
  const fs::path models = models_folder(data);
  if (models.empty()) {
    if (is_inside_models(data.root))
      return fmt::format("{} looks like a models folder itself; the data folder is its parent",
                         data.root.string());
    return fmt::format("{} has no models folder", data.root.string());
  }
  std::error_code failure;
  Search search;
  for (fs::directory_iterator it(models, failure), end; !failure && it != end; it.increment(failure)) {
    const std::string name = it->path().filename().string();
    if (is_system_name(name) || std::ranges::find(kOtherKinds, lower_ascii(name)) != kOtherKinds.end())
      continue;
    fs::path found;
    if (!is_folder_at(it->path()))
      found = Search::is_weight_name(it->path()) ? it->path() : fs::path();
    else if (!is_known_place(it->path(), data))
      found = search.first_in(it->path());
    if (!found.empty())
      return fmt::format("{} is in a folder that is not searched: checkpoints belong in {}, LoRAs in {}",
                         found.string(), data.checkpoints().string(), data.loras().string());
  }
  return "";
}

std::vector<std::string> unreadable_folders(const DataDir& data) {
  std::vector<std::string> sentences;
  for (const PlaceRow& place : place_table())
    walk(
        place, folder_of(place, data), [](Listing&&) {},
        [&](const WalkProblem& problem) { sentences.push_back(problem.sentence); });
  return sentences;
}

std::string default_checkpoint_notice(const DataDir& data, const fs::path& checkpoint) {
  const bool is_starter = checkpoint == data.starter_checkpoint();
  const std::vector<fs::path> files = newest_checkpoints(data);
  if (checkpoint.empty() || (!files.empty() && files.front() == checkpoint)) return "";
  if (!is_starter)
    return fmt::format("the newest checkpoint cannot be used, so {} is used: {}.",
                       checkpoint_name(checkpoint), unusable_because(files.front()));
  const std::string misplaced =
      files.empty() ? misplaced_models(data)
                    : fmt::format("none of the {} in {} can be used ({})", files.size(),
                                  data.checkpoints().string(), unusable_because(files.front()));
  return misplaced.empty() ? "" : fmt::format("the starter model is used as the checkpoint: {}.", misplaced);
}

}  // namespace lowrank::library
