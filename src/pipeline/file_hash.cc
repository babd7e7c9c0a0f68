#include "pipeline/file_hash.h"

#include <stop_token>
#include <utility>

#include "base/error.h"
#include "base/sha256.h"

namespace lowrank::pipeline {

FileHash::FileHash(std::filesystem::path path, HashMemo memo) : hex_(promise_.get_future().share()) {
  thread_ =
      std::jthread([this, file = std::move(path), known = std::move(memo)](const std::stop_token& stop) {
        std::string hex;
        try {
          hex = known.find(file);
          if (hex.empty() && std::filesystem::is_regular_file(file)) {
            hex = sha256_file_hex(file, stop);
            known.keep(file, hex);
          }
        } catch (const std::exception&) {
          hex.clear();  // a file that vanished after loading, or a stop: the metadata goes without the hash
        }
        promise_.set_value(hex);
      });
}

}  // namespace lowrank::pipeline
