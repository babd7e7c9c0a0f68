#include "server/catalog/hash_cache.h"

#include <algorithm>

#include "base/error.h"

namespace lowrank::server {
namespace fs = std::filesystem;

HashCache::HashCache(weights::HashMemo memo) : memo_(std::move(memo)) {
  thread_ = std::jthread([this](const std::stop_token& stop) { work(stop); });
}

HashCache::~HashCache() {
  thread_.request_stop();
  changed_.notify_all();
}

std::optional<std::string> HashCache::sha256(const fs::path& path) {
  const FileIdentity file = identity_of(path);
  if (!file.exists()) return std::nullopt;
  const std::lock_guard lock(mutex_);
  const auto found = known_.find(path.string());
  if (found != known_.end() && found->second.file == file) {
    if (found->second.hash.empty()) return std::nullopt;  // it could not be read
    return found->second.hash;
  }
  if (const std::string hash = memo_.find(path); !hash.empty()) {
    known_[path.string()] = {.file = file, .hash = hash};
    return hash;
  }
  if (std::ranges::find(wanted_, path) == wanted_.end()) {
    wanted_.push_back(path);
    changed_.notify_all();
  }
  return std::nullopt;
}

void HashCache::work(const std::stop_token& stop) {
  std::unique_lock lock(mutex_);
  while (changed_.wait(lock, stop, [&] { return !wanted_.empty(); })) {
    const fs::path path = wanted_.front();
    lock.unlock();
    Known known{.file = identity_of(path), .hash = ""};
    try {
      known.hash = memo_.hash_of(path, known.file, stop);
    } catch (const Error& error) {
      if (error.code() == kCancelled) return;
    }
    lock.lock();
    known_[path.string()] = known;
    wanted_.pop_front();
  }
}

}  // namespace lowrank::server
