#include "pipeline/resident/file_hash.h"

#include <stop_token>
#include <utility>

#include "base/error.h"
#include "base/sha256.h"

namespace lowrank::pipeline {

FileHash::FileHash(std::filesystem::path path, FileIdentity loaded, weights::HashMemo memo)
    : hex_(promise_.get_future().share()) {
  thread_ = std::jthread(
      [this, file = std::move(path), loaded, known = std::move(memo)](const std::stop_token& stop) {
        std::string hex;
        try {
          if (loaded.exists() && identity_of(file) == loaded) hex = known.find(file);
          if (hex.empty() && loaded.exists() && identity_of(file) == loaded) {
            hex = sha256_file_hex(file, stop);
            known.keep(file, hex);
          }
          if (identity_of(file) != loaded) hex.clear();
        } catch (const std::exception&) {
          hex.clear();  // a file that vanished after loading, or a stop: the metadata goes without the hash
        }
        promise_.set_value(hex);
      });
}

}  // namespace lowrank::pipeline
