// Tells when something changes in the folders of the collection (inotify). Changes that come in a burst, as
// when a download is written or a folder is copied, count as one.
#pragma once

#include <chrono>
#include <set>
#include <stop_token>

#include "library/data_dir.h"

namespace lowrank::library {

struct WatchTiming {
  std::chrono::milliseconds quiet{500};       // a burst is over after so long without a change …
  std::chrono::milliseconds longest{10'000};  // … or after so long in all
  std::chrono::milliseconds poll{
      60'000};  // where the system tells of no changes (network folders), look this often
};

class Watcher {
 public:
  explicit Watcher(const DataDir& data, WatchTiming timing = {});
  ~Watcher();
  Watcher(const Watcher&) = delete;
  Watcher& operator=(const Watcher&) = delete;

  // True: something may have changed since the last call (or since the constructor). False: stopped.
  bool wait(const std::stop_token& stop);
  // The same without waiting, and without regard to bursts. Always true where the system does not tell of all changes.
  bool has_changed();

 private:
  bool watch_folders();  // true: there are folders that were not watched before
  bool drain();          // true: something that concerns the collection was among the events

  const DataDir data_;
  const WatchTiming timing_;
  int events_ = -1;
  std::set<int> watched_;  // inotify's numbers of the folders
  bool sees_all_ = true;
};

}  // namespace lowrank::library
