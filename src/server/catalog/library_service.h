// The index of the collection for the server's many threads: the same that the command line uses (library/library.h).
// Safe to use from any thread.
#pragma once

#include <atomic>
#include <condition_variable>
#include <functional>
#include <mutex>
#include <optional>
#include <set>
#include <thread>
#include <utility>
#include <vector>

#include "base/error.h"
#include "library/index/watch.h"
#include "library/library.h"
#include "prompt/infotext.h"

namespace lowrank::server {

class LibraryService {
 public:
  // Looks at the folders beside other work; who asks meanwhile waits.
  explicit LibraryService(library::DataDir data);
  ~LibraryService();
  LibraryService(const LibraryService&) = delete;
  LibraryService& operator=(const LibraryService&) = delete;

  // `ask(library)` on an index that knows all that has happened in the folders. One caller at a time: what takes long is
  // done outside. Records stay right after it, until a file changes.
  template <typename Ask>
  auto with(const Ask& ask) {
    const std::lock_guard lock(mutex_);
    try {
      return ask(current());
    } catch (const Error& error) {
      must_rebuild_ = must_rebuild_ || error.code() == kConflict;  // damage that only reading showed
      throw;
    }
  }

  // What the last look at the folders passed over, one sentence each.
  std::vector<std::string> problems() {
    return with([](const library::Library& library) { return library.last_scan().problems; });
  }

  // The next caller finds the folders looked at again, also where the system tells of no changes.
  void refresh() { must_look_ = true; }

  // Counted anew only when the index has changed.
  library::Facets facets(std::size_t max_tags);

  // Computes hashes beside other work, of files that could be the same as others. Returns how many of them are to come.
  std::size_t hash_suspects();
  // Fills in the hashes of a record that has none yet, which takes as long as reading its file. Throws Error.
  void hash(library::Record& record, const std::stop_token& stop = {});

 private:
  library::Library& current();
  void tell_problems();
  std::vector<library::Record> suspects();
  void hash_or_give_up(library::Record& record, const std::stop_token& stop);
  void work(const std::stop_token& stop);

  const library::DataDir data_;
  std::mutex mutex_;          // guards the next seven
  library::Watcher watcher_;  // made before the first look, so that nothing falls in between
  std::optional<library::Library> library_;
  std::optional<library::Facets> facets_;
  std::int64_t facets_version_ = 0;
  bool must_rebuild_ = false;
  std::vector<std::string> told_;                             // problems that the log has
  std::set<std::pair<std::int64_t, std::int64_t>> hopeless_;  // id and date of files that cannot be hashed

  std::atomic<bool> must_look_{false};
  std::mutex request_mutex_;  // guards is_hashing_requested_
  std::condition_variable_any hashing_requested_;
  bool is_hashing_requested_ = false;
  std::jthread thread_;
};

// Gives the LoRAs of a pasted infotext the names that they have in this collection.
using UseLocalNames = std::function<void(prompt::Infotext&)>;
UseLocalNames local_names_of(LibraryService& library_service);

}  // namespace lowrank::server
