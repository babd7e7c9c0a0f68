#include "pipeline/resident/file_hash.h"

#include <stop_token>
#include <utility>

namespace lowrank::pipeline {

FileHash::FileHash(std::filesystem::path path, FileIdentity loaded, weights::HashMemo memo)
    : hex_(promise_.get_future().share()) {
  thread_ = std::jthread(
      [this, file = std::move(path), loaded, known = std::move(memo)](const std::stop_token& stop) {
        std::string hex;
        try {
          hex = known.hash_of(file, loaded, stop);
        } catch (const std::exception&) {
          // A file that vanished after loading, or a stop: the metadata goes without the hash
        }
        promise_.set_value(hex);
      });
}

}  // namespace lowrank::pipeline
