#include "pipeline/file_hash.h"

#include <stop_token>
#include <utility>

#include "base/error.h"
#include "base/sha256.h"

namespace lowrank::pipeline {

FileHash::FileHash(std::filesystem::path path) : hex_(promise_.get_future().share()) {
  thread_ = std::jthread([this, file = std::move(path)](const std::stop_token& stop) {
    std::string hex;
    try {
      if (std::filesystem::is_regular_file(file)) hex = sha256_file_hex(file, stop);
    } catch (const std::exception&) {
      hex.clear();  // a file that vanished after loading, or a stop: the metadata goes without the hash
    }
    promise_.set_value(hex);
  });
}

}  // namespace lowrank::pipeline
