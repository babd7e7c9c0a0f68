#include "server/catalog/library_service.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdio>

#include "base/error.h"
#include "base/log_line.h"
#include "library/picture_settings.h"

namespace lowrank::server {
namespace {

// More than a page shows, few enough to be kept.
constexpr std::size_t kMaxFacetTags = 1000;

}  // namespace

LibraryService::LibraryService(library::DataDir data)
    : data_(std::move(data)), watcher_(data_), thread_([this](const std::stop_token& stop) { work(stop); }) {}

LibraryService::~LibraryService() {
  thread_.request_stop();
  hashing_requested_.notify_all();
}

library::Library& LibraryService::current() {
  const bool has_changed = watcher_.has_changed() || must_look_.exchange(false);
  if (must_rebuild_) library_.reset();
  if (!library_) {
    library_.emplace(
        library::Library::open(data_, {}, must_rebuild_ ? library::Rebuild::kYes : library::Rebuild::kNo));
    must_rebuild_ = false;
    facets_.reset();
    tell_problems();
  } else if (has_changed) {
    try {
      library_->rescan();
      tell_problems();
    } catch (...) {
      must_look_ = true;  // it is still to be done
      throw;
    }
  }
  return *library_;
}

// Once each, until they are mended and come again.
void LibraryService::tell_problems() {
  const std::vector<std::string>& problems = library_->last_scan().problems;
  for (const std::string& problem : problems)
    if (std::ranges::find(told_, problem) == told_.end()) log_line(stderr, "warning: {}\n", problem);
  told_ = problems;
}

library::Facets LibraryService::facets(std::size_t max_tags) {
  library::Facets facets = with([&](const library::Library& library) {
    if (const auto version = library.version(); !facets_ || version != facets_version_) {
      facets_ = library.facets(kMaxFacetTags);
      facets_version_ = version;
    }
    return *facets_;
  });
  if (facets.tags.size() > max_tags) facets.tags.resize(max_tags);
  return facets;
}

std::vector<library::Record> LibraryService::suspects() {
  return with([&](const library::Library& library) {
    auto records = library.suspects();
    std::erase_if(records, [&](const library::Record& record) {
      return hopeless_.contains({record.id, record.mtime_ns});
    });
    return records;
  });
}

std::size_t LibraryService::hash_suspects() {
  const std::size_t count = suspects().size();
  if (count == 0) return 0;
  const std::lock_guard lock(request_mutex_);
  is_hashing_requested_ = true;
  hashing_requested_.notify_all();
  return count;
}

void LibraryService::hash(library::Record& record, const std::stop_token& stop) {
  if (!record.sha256.empty() && (!record.addnet.empty() || record.header == 0)) return;
  const auto path = with([&](const library::Library& library) { return library.path_of(record); });
  const library::FileHashes hashes = library::hash_file(path, stop);
  with([&](const library::Library& library) { library.keep_hashes(record, hashes); });
  record.sha256 = hashes.sha256;
  record.autov1 = hashes.autov1;
  record.addnet = hashes.addnet;
}

void LibraryService::hash_or_give_up(library::Record& record, const std::stop_token& stop) {
  try {
    hash(record, stop);
  } catch (const Error& error) {
    if (error.code() == kCancelled) return;
    log_line(stderr, "warning: {}\n", error.what());
    const std::lock_guard lock(mutex_);
    hopeless_.emplace(record.id, record.mtime_ns);
  }
}

void LibraryService::work(const std::stop_token& stop) {
  const auto guarded = [](const auto& task) {
    try {
      task();
    } catch (const std::exception& error) {
      log_line(stderr, "warning: {}\n", error.what());
    }
  };
  guarded(
      [&] { with([](const library::Library&) {}); });  // so that who asks first need not wait for all of it
  std::unique_lock lock(request_mutex_);
  while (hashing_requested_.wait(lock, stop, [&] { return is_hashing_requested_; })) {
    is_hashing_requested_ = false;
    lock.unlock();
    guarded([&] {
      for (library::Record& record : suspects())
        if (!stop.stop_requested()) hash_or_give_up(record, stop);
    });
    lock.lock();
  }
}

UseLocalNames local_names_of(LibraryService& library_service) {
  return [&library_service](prompt::Infotext& infotext) {
    if (infotext.prompt.find("<lora:") == std::string::npos && infotext.find("AddNet Model 1") == nullptr)
      return;
    library_service.with(
        [&](const library::Library& library) { library::use_local_names(infotext, library); });
  };
}

}  // namespace lowrank::server
