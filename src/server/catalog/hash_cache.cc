#include "server/catalog/hash_cache.h"

#include <algorithm>

#include "base/atomic_file.h"
#include "base/error.h"
#include "base/file_identity.h"
#include "base/sha256.h"
#include "server/json.h"

namespace lowrank::server {
namespace {

namespace fs = std::filesystem;

}  // namespace

HashCache::HashCache(fs::path file) : file_(std::move(file)) {
  std::error_code failure;
  if (fs::exists(file_, failure)) {
    const RequestJson stored = RequestJson::parse(read_file(file_), nullptr, false);
    if (stored.is_object())
      for (const auto& [path, entry] : stored.items())
        if (entry.is_object() && entry.value("sha256", RequestJson()).is_string() &&
            entry.value("file", RequestJson()).is_string())
          known_[path] = {.file = entry["file"].get<std::string>(),
                          .hash = entry["sha256"].get<std::string>()};
  }
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
  if (found != known_.end() && found->second.file == file.text()) {
    if (found->second.hash.empty()) return std::nullopt;  // it could not be read
    return found->second.hash;
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
    Known known{.file = identity_of(path).text(), .hash = ""};
    try {
      known.hash = sha256_file_hex(path, stop);
    } catch (const Error& error) {
      if (error.code() == kCancelled) return;
    }
    lock.lock();
    known_[path.string()] = known;
    wanted_.pop_front();
    try {
      save_locked();
    } catch (const Error&) {
      // Kept in memory; the next start computes it again.
    }
  }
}

void HashCache::save_locked() const {
  Json all = Json::object();
  for (const auto& [path, known] : known_)
    if (!known.hash.empty()) all[path] = {{"file", known.file}, {"sha256", known.hash}};
  write_file(file_, json_text(all, 1));
}

}  // namespace lowrank::server
