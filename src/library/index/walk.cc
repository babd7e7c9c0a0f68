#include "library/index/walk.h"

#include <dirent.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <set>

#include "base/files_below.h"
#include "formats/natural_order.h"

namespace lowrank::library {
namespace {

namespace fs = std::filesystem;

constexpr int kMaxDepth = 32;

std::uint64_t mix(std::uint64_t hash, std::uint64_t value) {
  const auto product = static_cast<unsigned __int128>(hash ^ value) * 0xD6E8FEB86659FD93ull;
  return static_cast<std::uint64_t>(product) ^ static_cast<std::uint64_t>(product >> 64) ^ (hash << 1);
}

std::uint64_t mix(std::uint64_t hash, std::string_view text) {
  for (const char c : text) hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001B3ull;
  return hash;
}

std::int64_t nanoseconds(const timespec& time) {
  return static_cast<std::int64_t>(time.tv_sec) * 1'000'000'000 + time.tv_nsec;
}

// Summed over a folder, so that the order in which the system lists it does not count.
std::uint64_t fingerprint_of(const ListedFile& file) {
  std::uint64_t hash = mix(0xCBF29CE484222325ull, file.name);
  for (const auto value : {file.size, file.mtime_ns, file.ctime_ns, file.inode, file.device})
    hash = mix(hash, static_cast<std::uint64_t>(value));
  return hash;
}

// What training keeps beside a LoRA to go on from: its state, and the latents of its pictures. They look like LoRAs or
// hold loose tensors, but are none. Told by their names and by an entry of their metadata.
bool is_of_training(int folder, const char* name) {
  const std::string_view text = name;
  if (!text.ends_with("-state.safetensors") && !text.ends_with("-latents.safetensors")) return false;
  const int file = ::openat(folder, name, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (file < 0) return false;
  std::string header(1u << 20, '\0');
  const ssize_t size = ::pread(file, header.data(), header.size(), 8);
  ::close(file);
  header.resize(static_cast<std::size_t>(std::max<ssize_t>(size, 0)));
  return header.find("\"lowrank.phase\"") != std::string::npos ||
         header.find("\"lowrank.latents_of\"") != std::string::npos;
}

class Walker {
 public:
  Walker(const PlaceRow& place, const fs::path& root, const std::function<void(Listing&&)>& take,
         const std::function<void(const WalkProblem&)>& on_problem)
      : place_(place), root_(root), take_(take), on_problem_(on_problem) {}

  // `parent` and `name` open the folder; `relative` names it below the place.
  void visit(int parent, const char* name, const std::string& relative, int depth) {
    const int descriptor = ::openat(parent, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    struct stat status {};
    DIR* folder = descriptor < 0 ? nullptr : ::fdopendir(descriptor);
    if (folder == nullptr || ::fstat(descriptor, &status) != 0) {
      if (errno != ENOENT || depth > 0)
        on_problem_({relative,
                     fmt::format("{}: this folder cannot be read ({}), so its files are missing from the "
                                 "list; fix its permissions.",
                                 whole(relative), std::strerror(errno)),
                     true});
      if (folder != nullptr)
        ::closedir(folder);
      else if (descriptor >= 0)
        ::close(descriptor);
      return;
    }
    if (seen_.insert({status.st_dev, status.st_ino}).second) list(folder, relative, depth);
    ::closedir(folder);
  }

 private:
  std::string whole(const std::string& relative) const {
    return relative.empty() ? root_.string() : (root_ / relative).string();
  }

  // A link whose target cannot be reached: a drive that is not mounted, a loop.
  void tell_dead_link(int folder, const std::string& relative, const char* name) {
    struct stat status {};
    if (::fstatat(folder, name, &status, 0) == 0) return;
    const std::string reason = std::strerror(errno);
    if (::fstatat(folder, name, &status, AT_SYMLINK_NOFOLLOW) != 0 || !S_ISLNK(status.st_mode)) return;
    const std::string below = relative.empty() ? std::string(name) : relative + "/" + name;
    on_problem_(
        {below,
         fmt::format(
             "{}: is a broken link ({}), so its target is missing from the list; is its drive connected?",
             whole(below), reason),
         false});
  }

  void list(DIR* folder, const std::string& relative, int depth) {
    const int descriptor = ::dirfd(folder);
    Listing listing{.relative = relative, .models = {}, .beside = {}, .is_one_model = false};
    std::vector<std::string> folders;
    std::uint64_t sum = 0;
    bool is_diffusers = false;
    const auto add = [&](const char* name, std::vector<ListedFile>& to) {
      struct stat status {};
      if (::fstatat(descriptor, name, &status, 0) != 0 || !S_ISREG(status.st_mode)) return false;
      const ListedFile& file =
          to.emplace_back(ListedFile{.name = name,
                                     .size = status.st_size,
                                     .mtime_ns = nanoseconds(status.st_mtim),
                                     .ctime_ns = nanoseconds(status.st_ctim),
                                     .inode = static_cast<std::int64_t>(status.st_ino),
                                     .device = static_cast<std::int64_t>(status.st_dev)});
      sum += fingerprint_of(file);
      return true;
    };
    while (const dirent* entry = ::readdir(folder)) {
      const std::string_view name = entry->d_name;
      if (is_system_name(name)) continue;  // among them . and ..
      if (entry->d_type != DT_DIR && entry->d_type != DT_REG && !may_be_sidecar(name))
        tell_dead_link(descriptor, relative, entry->d_name);
      if (is_folder(descriptor, *entry)) {
        folders.emplace_back(name);
      } else if (is_of_training(descriptor, entry->d_name)) {
        continue;
      } else if (is_model_file(place_, name)) {
        add(entry->d_name, listing.models);
      } else if (may_be_sidecar(name)) {
        add(entry->d_name, listing.beside);
        is_diffusers = is_diffusers || name == "model_index.json";
      }
    }
    listing.is_one_model = is_diffusers && place_.kind == "checkpoint" && depth > 0;
    const bool goes_on = !listing.is_one_model && !place_.is_flat && depth < kMaxDepth;
    if (listing.is_one_model) listing.models = {as_model(listing, relative)};
    listing.fingerprint = static_cast<std::int64_t>(sum);
    take_(std::move(listing));
    if (!goes_on) return;
    std::ranges::sort(folders, formats::natural_less);
    for (const std::string& name : folders)
      visit(descriptor, name.c_str(), relative.empty() ? name : relative + "/" + name, depth + 1);
  }

  static bool is_folder(int descriptor, const dirent& entry) {
    if (entry.d_type == DT_DIR) return true;
    if (entry.d_type != DT_LNK && entry.d_type != DT_UNKNOWN) return false;
    struct stat status {};
    return ::fstatat(descriptor, entry.d_name, &status, 0) == 0 && S_ISDIR(status.st_mode);
  }

  // A diffusers folder stands for itself, dated by its model_index.json.
  static ListedFile as_model(const Listing& listing, const std::string& relative) {
    ListedFile model;
    for (const ListedFile& file : listing.beside)
      if (file.name == "model_index.json") model = file;
    model.name = fs::path(relative).filename().string();
    return model;
  }

  const PlaceRow& place_;
  const fs::path& root_;
  const std::function<void(Listing&&)>& take_;
  const std::function<void(const WalkProblem&)>& on_problem_;
  std::set<std::pair<dev_t, ino_t>> seen_;
};

}  // namespace

bool may_be_sidecar(std::string_view name) {
  static constexpr std::array<std::string_view, 8> kEndings = {".json", ".info", ".txt",  ".png",
                                                               ".jpg",  ".jpeg", ".webp", ".gif"};
  return std::ranges::any_of(kEndings, [&](std::string_view ending) { return name.ends_with(ending); });
}

void walk(const PlaceRow& place, const fs::path& folder, const std::function<void(Listing&&)>& take,
          const std::function<void(const WalkProblem&)>& on_problem) {
  if (folder.empty()) return;
  Walker(place, folder, take, on_problem).visit(AT_FDCWD, folder.c_str(), "", 0);
}

}  // namespace lowrank::library
