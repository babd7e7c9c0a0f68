// Operations that keep the tensors as they are: what a file says of itself is changed, keys are chosen, weights scaled.
#pragma once

#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "edit/job.h"
#include "edit/merge.h"
#include "edit/output.h"

namespace lowrank::edit {

struct Rewritten {
  std::filesystem::path path;
  std::uint64_t bytes = 0;
  std::int64_t tensors = 0, metadata = 0;  // that it has now
  std::vector<std::string> notes = {};
};

// The file with other metadata; its hashes are right afterwards. An empty output means the file itself, which then must be
// allowed to be replaced.
Rewritten set_metadata(const std::filesystem::path& input, const std::function<void(Metadata&)>& change,
                       const Job& job);

// What the metadata tell of the training goes; what a program needs to use the file (family, network, architecture) stays
// unless `all`, and so do the keys of `keep`.
struct StripOptions {
  bool all = false;
  std::vector<std::string> keep = {};
};
Rewritten strip(const std::filesystem::path& input, const StripOptions& options, const Job& job);

// "KEY=VALUE" of modelspec 1.0.1 or any other key; an empty value removes it. Short names stand for modelspec's: title, author,
// description, trigger, tags, license, date, usage-hint, resolution. Throws Error(kBadInput) for a value that modelspec does
// not allow.
using Assignment = std::pair<std::string, std::string>;
Assignment assignment_of(const std::string& text);
Rewritten set(const std::filesystem::path& input, const std::vector<Assignment>& values, const Job& job);

// The LoRA at another weight: factors stay, alpha changes; of kinds without one a factor. Throws Error(kBadInput) for kinds
// whose change is not proportional to anything in the file (DoRA, OFT …): merge them with --base.
Rewritten scale(const MergeInput& input, const Job& job);

enum class SplitBy { kComponent, kBlock };
// One file for each part: NAME-te, NAME-unet; or NAME-BASE, NAME-IN04 … with the output's name in front.
std::vector<Rewritten> split(const std::filesystem::path& input, SplitBy by,
                             const std::optional<std::filesystem::path>& base, const Job& job);

}  // namespace lowrank::edit
