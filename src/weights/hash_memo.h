// Hashes of large files that were computed before: reading a checkpoint of gigabytes again only to name it would take
// longer than all else that a start does. A text file of a line each, the last ones found or made; a file is known again
// by its place on the disk, size and times, and whoever doubts the memo may delete it.
#pragma once

#include <filesystem>
#include <functional>
#include <map>
#include <stop_token>
#include <string>
#include <utility>

#include "base/file_identity.h"

namespace lowrank::weights {

class HashMemo {
 public:
  // `memo`: the text file, which need not exist; "": nothing is remembered.
  explicit HashMemo(std::filesystem::path memo = {}) : memo_(std::move(memo)) {}

  // The file's hash, remembered or else computed, which reads it, and remembered from now on. "" when the file is not
  // in the state `is` (any more): the hash names what was read then. Throws Error(kIo), and kCancelled within a megabyte
  // of a stop.
  std::string hash_of(const std::filesystem::path& file, const FileIdentity& is,
                      const std::stop_token& stop = {}) const;
  // All that is remembered, by FileIdentity::text(), for who asks about many files: the memo is read once.
  std::map<std::string, std::string, std::less<>> all() const;
  // "" when it is not known.
  std::string find(const std::filesystem::path& file) const;
  // Does nothing for a small file, and where the memo cannot be written.
  void keep(const std::filesystem::path& file, const std::string& hex) const;

 private:
  std::filesystem::path memo_;
};

}  // namespace lowrank::weights
