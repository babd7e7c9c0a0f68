// Keeps a mapped file from ending the program when it shrinks. Reading a page behind the file's new end raises SIGBUS;
// one handler for the whole process puts pages of zeros there and marks the mapping as damaged. Whoever worked on it asks
// afterwards, and throws the result away.
#pragma once

#include <cstddef>
#include <span>

namespace lowrank {

class MappingGuard {
 public:
  enum class Access { kRead, kReadAndWrite };

  // `mapped` begins on a page and stays mapped as long as this lives. Does nothing when some thousand mappings are
  // guarded already: is_guarded() says so.
  MappingGuard(std::span<const std::byte> mapped, Access access);
  ~MappingGuard();
  MappingGuard(const MappingGuard&) = delete;
  MappingGuard& operator=(const MappingGuard&) = delete;

  bool is_guarded() const { return slot_ >= 0; }
  bool is_damaged() const;

 private:
  int slot_ = -1;
};

}  // namespace lowrank
