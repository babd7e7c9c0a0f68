#include "server/engine/output_folder.h"

#include <fmt/chrono.h>
#include <fmt/format.h>

#include <algorithm>
#include <cctype>
#include <ctime>

#include "base/atomic_file.h"
#include "base/text/text.h"
#include "image/codec/codec.h"
#include "server/catalog/model_catalog.h"

namespace lowrank::server {
namespace {

namespace fs = std::filesystem;

// One more than the largest number that a file name in the folder begins with.
int next_number(const fs::path& folder) {
  int next = 0;
  std::error_code failure;
  for (fs::directory_iterator it(folder, failure), end; !failure && it != end; it.increment(failure)) {
    const std::string name = it->path().filename().string();
    const auto digits =
        std::ranges::find_if(name, [](unsigned char c) { return std::isdigit(c) == 0; }) - name.begin();
    if (digits > 0 && digits < 9)
      next = std::max(next, std::stoi(name.substr(0, static_cast<std::size_t>(digits))) + 1);
  }
  return next;
}

double unix_time(const fs::path& path) {
  std::error_code failure;
  const auto time = fs::last_write_time(path, failure);
  if (failure) return 0;
  return std::chrono::duration<double>(std::chrono::file_clock::to_sys(time).time_since_epoch()).count();
}

std::string extension_of(const std::string& mime) {
  return mime == "image/jpeg" ? ".jpg" : mime == "image/webp" ? ".webp" : ".png";
}

}  // namespace

fs::path OutputFolder::save(const std::string& kind, const EncodedPicture& picture,
                            const std::string& suffix) {
  const fs::path folder = root_ / kind / fmt::format("{:%Y-%m-%d}", fmt::localtime(std::time(nullptr)));
  // Another process may take the number meanwhile: nothing is overwritten.
  return write_new_file(
      folder / fmt::format("{:05}-{}{}", next_number(folder), suffix, extension_of(picture.mime)),
      picture.bytes);
}

void OutputFolder::save_text(const fs::path& picture, const std::string& infotext) {
  write_file(fs::path(picture).replace_extension(".txt"), infotext + "\n");
}

std::vector<OutputFile> OutputFolder::list(std::size_t limit, std::size_t offset, std::size_t& total) const {
  std::vector<OutputFile> files;
  std::error_code failure;
  for (fs::recursive_directory_iterator it(root_, failure), end; !failure && it != end;
       it.increment(failure)) {
    std::error_code ignored;
    if (!it->is_regular_file(ignored) || image::picture_mime(it->path()).empty()) continue;
    files.push_back({.name = it->path().lexically_relative(root_).generic_string(),
                     .bytes = it->file_size(ignored),
                     .time = unix_time(it->path())});
  }
  total = files.size();
  std::ranges::sort(files, [](const OutputFile& a, const OutputFile& b) {
    return a.time != b.time ? a.time > b.time : a.name > b.name;
  });
  files.erase(files.begin(), files.begin() + static_cast<std::ptrdiff_t>(std::min(offset, files.size())));
  if (files.size() > limit) files.resize(limit);
  return files;
}

std::optional<fs::path> OutputFolder::find(const std::string& name) const {
  if (name.empty() || name.find('\0') != std::string::npos) return std::nullopt;
  const fs::path path = root_ / name;
  std::error_code failure;
  if (fs::path(name).is_absolute() || image::picture_mime(path).empty() || !is_below(path, root_) ||
      !fs::is_regular_file(path, failure))
    return std::nullopt;
  return path;
}

}  // namespace lowrank::server
