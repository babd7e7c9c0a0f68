#include "base/files_below.h"

#include <algorithm>
#include <array>
#include <set>
#include <string>

#include "base/text/ascii.h"

namespace lowrank {
namespace {

namespace fs = std::filesystem;

// Lower case.
constexpr std::array<std::string_view, 8> kSystemNames = {
    "$recycle.bin", "recycler", "system volume information", "lost+found", "@eadir", "#recycle",
    "#snapshot",    "__macosx"};

class Walk {
 public:
  explicit Walk(const std::vector<std::string_view>& endings) : endings_(endings) {}

  void visit(const fs::path& folder) {
    std::error_code failure;
    const fs::path real = fs::canonical(folder, failure);
    if (failure || !visited_.insert(real).second) return;
    for (fs::directory_iterator it(folder, failure), end; !failure && it != end; it.increment(failure)) {
      const std::string name = it->path().filename().string();
      if (is_system_name(name)) continue;
      std::error_code ignored;
      if (it->is_directory(ignored))
        visit(it->path());
      else if (it->is_regular_file(ignored) && is_wanted(it->path()))
        found.push_back(it->path());
    }
  }

  std::vector<fs::path> found;

 private:
  bool is_wanted(const fs::path& path) const {
    return std::ranges::find(endings_, lower_ascii(path.extension().string())) != endings_.end();
  }

  std::vector<std::string_view> endings_;
  std::set<fs::path> visited_;
};

}  // namespace

bool is_system_name(std::string_view file_name) {
  if (file_name.starts_with('.')) return true;
  return std::ranges::find(kSystemNames, lower_ascii(file_name)) != kSystemNames.end();
}

std::vector<fs::path> files_below(const fs::path& folder, const std::vector<std::string_view>& endings) {
  Walk walk(endings);
  walk.visit(folder);
  std::ranges::sort(walk.found);
  return std::move(walk.found);
}

}  // namespace lowrank
