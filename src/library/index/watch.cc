#include "library/index/watch.h"

#include <poll.h>
#include <sys/eventfd.h>
#include <sys/inotify.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <optional>
#include <string_view>

#include "base/error.h"
#include "library/data_dir.h"
#include "library/index/network_folder.h"
#include "library/index/walk.h"

namespace lowrank::library {
namespace {

using Clock = std::chrono::steady_clock;
using std::chrono::milliseconds;

// What changes a listing. Files being written are told of when they are closed or moved into place.
constexpr std::uint32_t kEvents = IN_CLOSE_WRITE | IN_CREATE | IN_DELETE | IN_MOVED_FROM | IN_MOVED_TO |
                                  IN_ATTRIB | IN_DELETE_SELF | IN_MOVE_SELF;

bool concerns_collection(const inotify_event& event) {
  if (event.len == 0 || (event.mask & IN_ISDIR) != 0) return true;
  const std::string_view name = event.name;
  if (name.starts_with(".") || name.ends_with(".part")) return false;  // a file that is still being written
  return may_be_sidecar(name) || std::ranges::any_of(place_table(), [&](const PlaceRow& place) {
           return is_model_file(place, name);
         });
}

}  // namespace

Watcher::Watcher(const DataDir& data, WatchTiming timing)
    : data_(data), timing_(timing), events_(::inotify_init1(IN_NONBLOCK | IN_CLOEXEC)) {
  sees_all_ = events_ >= 0;
  watch_folders();
}

Watcher::~Watcher() {
  if (events_ >= 0) ::close(events_);
}

bool Watcher::watch_folders() {
  if (events_ < 0) return false;
  bool has_new = false;
  const auto watch = [&](const std::filesystem::path& folder) {
    // Too many folders for the system's limit, or a file system that others write to: what happens there is found by
    // looking now and then.
    const int number = ::inotify_add_watch(events_, folder.c_str(), kEvents);
    if ((number < 0 && errno != ENOENT) || is_network_folder(folder)) sees_all_ = false;
    if (number >= 0) has_new = watched_.insert(number).second || has_new;
  };
  // A place that is made later appears in the folder above it.
  watch(data_.root);
  for (const PlaceRow& place : place_table()) {
    const auto folder = folder_of(place, data_);
    if (folder.empty()) continue;
    if (!place.is_starter) watch(folder.parent_path());
    walk(
        place, folder, [&](Listing&& listing) { watch(folder / listing.relative); },
        [](const WalkProblem&) {});
  }
  return has_new;
}

bool Watcher::drain() {
  alignas(inotify_event) std::array<char, 65536> buffer{};
  bool concerned = false;
  for (;;) {
    const ssize_t size = ::read(events_, buffer.data(), buffer.size());
    if (size <= 0) return concerned;
    for (ssize_t at = 0; at < size;) {
      const auto& event = *reinterpret_cast<const inotify_event*>(buffer.data() + at);
      concerned = concerned || (event.mask & IN_Q_OVERFLOW) != 0 || concerns_collection(event);
      at += static_cast<ssize_t>(sizeof(inotify_event) + event.len);
    }
  }
}

bool Watcher::has_changed() {
  if (events_ < 0) return true;
  const bool is_concerned = drain();
  // New folders are watched before they are looked at, so that nothing falls in between.
  if (is_concerned) watch_folders();
  return is_concerned || !sees_all_;
}

bool Watcher::wait(const std::stop_token& stop) {
  const int wake = ::eventfd(0, EFD_CLOEXEC);
  if (wake < 0) throw Error(kIo, "the folders cannot be watched: too many files are open.");
  struct Closer {
    int descriptor;
    ~Closer() { ::close(descriptor); }
  } closer{wake};
  const std::stop_callback on_stop(stop, [wake] {
    const std::uint64_t one = 1;
    [[maybe_unused]] const auto written = ::write(wake, &one, sizeof(one));
  });
  std::optional<Clock::time_point> first, last;  // of the burst
  const auto begin = Clock::now();
  // What came into a new folder before it was watched told nobody.
  if (watch_folders()) first = last = begin;
  while (!stop.stop_requested()) {
    const auto now = Clock::now();
    if (first && (now - *last >= timing_.quiet || now - *first >= timing_.longest)) return true;
    if (!sees_all_ && now - begin >= timing_.poll) return true;
    int timeout = -1;
    if (first)
      timeout = static_cast<int>(std::chrono::ceil<milliseconds>(timing_.quiet - (now - *last)).count());
    else if (!sees_all_)
      timeout = static_cast<int>(std::chrono::ceil<milliseconds>(timing_.poll - (now - begin)).count());
    std::array<pollfd, 2> sources = {pollfd{wake, POLLIN, 0}, pollfd{events_, POLLIN, 0}};
    if (::poll(sources.data(), events_ >= 0 ? 2 : 1, timeout) < 0 && errno != EINTR) break;
    if (events_ >= 0 && drain()) {
      last = Clock::now();
      if (!first) first = last;
    }
  }
  return false;
}

}  // namespace lowrank::library
