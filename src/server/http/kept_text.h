// A long text that is sent again and again: in a file without a name, where it costs no memory, or in memory where no
// such file can be made. Never changes; safe to use from any thread.
#pragma once

#include <cstddef>
#include <filesystem>
#include <memory>
#include <string>

namespace lowrank::server {

class KeptText {
 public:
  // `folder`: where the file is made; it takes room there until this and the program end.
  KeptText(std::string text, const std::filesystem::path& folder);
  ~KeptText();
  KeptText(const KeptText&) = delete;
  KeptText& operator=(const KeptText&) = delete;

  std::size_t size() const { return size_; }
  // The bytes from `from` on, at most `length`. Throws Error(kIo).
  std::string read(std::size_t from, std::size_t length) const;

 private:
  std::size_t size_;
  int descriptor_ = -1;
  std::string text_;  // without a file
};

}  // namespace lowrank::server
