#include "library/picture_files.h"

#include <algorithm>
#include <cctype>
#include <string>

#include "base/error.h"
#include "formats/natural_order.h"

namespace lowrank::library {
namespace {

namespace fs = std::filesystem;

bool is_picture(const fs::path& path) {
  std::string extension = path.extension().string();
  std::ranges::transform(extension, extension.begin(),
                         [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  return extension == ".png" || extension == ".jpg" || extension == ".jpeg" || extension == ".webp";
}

}  // namespace

std::vector<fs::path> picture_files(const fs::path& folder) {
  std::error_code failure;
  std::vector<fs::path> files;
  for (fs::directory_iterator it(folder, failure), end; !failure && it != end; it.increment(failure))
    if (it->is_regular_file() && is_picture(it->path())) files.push_back(it->path());
  if (failure)
    throw Error(kNotFound, "{}: the folder cannot be read: {}.", folder.string(), failure.message());
  std::ranges::sort(files, [](const fs::path& a, const fs::path& b) {
    return formats::natural_less(a.filename().native(), b.filename().native());
  });
  return files;
}

std::vector<fs::path> expand_pictures(const std::vector<fs::path>& paths) {
  std::vector<fs::path> files;
  for (const fs::path& path : paths) {
    if (!fs::is_directory(path)) {
      files.push_back(path);
      continue;
    }
    const auto found = picture_files(path);
    if (found.empty()) throw Error(kNotFound, "{}: holds no picture (.png, .jpg, .webp).", path.string());
    files.insert(files.end(), found.begin(), found.end());
  }
  return files;
}

}  // namespace lowrank::library
