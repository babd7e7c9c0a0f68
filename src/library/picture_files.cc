#include "library/picture_files.h"

#include <algorithm>
#include <string>

#include "base/error.h"
#include "base/files_below.h"
#include "formats/natural_order.h"
#include "image/codec/codec.h"
#include "prompt/infotext.h"

namespace lowrank::library {
namespace fs = std::filesystem;

std::vector<fs::path> picture_files(const fs::path& folder) {
  std::error_code failure;
  std::vector<fs::path> files;
  for (fs::directory_iterator it(folder, failure), end; !failure && it != end; it.increment(failure))
    if (it->is_regular_file() && image::is_picture_name(it->path()) &&
        !is_system_name(it->path().filename().string()))
      files.push_back(it->path());
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
    if (found.empty())
      throw Error(kNotFound, "{}: contains no pictures ({}).", path.string(), image::picture_endings());
    files.insert(files.end(), found.begin(), found.end());
  }
  return files;
}

namespace {

// The text inside; "" where there is none, or no picture at all.
std::string text_inside(const fs::path& file) {
  try {
    return image::load_parameters(file).value_or("");
  } catch (const Error&) {
    return "";
  }
}

}  // namespace

bool is_own_picture(const fs::path& file) {
  const std::string text = text_inside(file);
  return prompt::is_lowrank_mark(text) || prompt::is_of_lowrank(prompt::parse_infotext(text));
}

bool is_own_picture_without_settings(const fs::path& file) {
  return prompt::is_lowrank_mark(text_inside(file));
}

}  // namespace lowrank::library
