// Hashes of large files that were computed before: reading a checkpoint of gigabytes again only to name it would take
// longer than all else that a start does. A text file of a line each, the last ones found or made; a file is known again
// by its place on the disk, size and times, and whoever doubts the memo may delete it.
#pragma once

#include <filesystem>
#include <string>
#include <utility>

namespace lowrank::weights {

class HashMemo {
 public:
  // `memo`: the text file, which need not exist; "": nothing is remembered.
  explicit HashMemo(std::filesystem::path memo = {}) : memo_(std::move(memo)) {}

  // "" when it is not known.
  std::string find(const std::filesystem::path& file) const;
  // Does nothing for a small file, and where the memo cannot be written.
  void keep(const std::filesystem::path& file, const std::string& hex) const;

 private:
  std::filesystem::path memo_;
};

}  // namespace lowrank::weights
