// A text that is written once and sent piece by piece: a long one in a file without a name, where it costs no memory, or in
// memory where no such file can be made.
#pragma once

#include <cstddef>
#include <filesystem>
#include <memory>
#include <string>
#include <string_view>

namespace lowrank::server {

class SpooledText {
 public:
  // `folder`: where the file is made; it takes room there until this and the program end.
  explicit SpooledText(std::filesystem::path folder);
  ~SpooledText();
  SpooledText(const SpooledText&) = delete;
  SpooledText& operator=(const SpooledText&) = delete;

  // At the end; by one thread, before others read.
  void append(std::string_view text);

  // From any thread.
  std::size_t size() const { return in_file_ + tail_.size(); }
  // The bytes from `from` on, at most `length`. Throws Error(kIo).
  std::string read(std::size_t from, std::size_t length) const;

 private:
  void write_tail();
  std::string read_file(std::size_t from, std::size_t length) const;

  const std::filesystem::path folder_;
  int descriptor_ = -1;
  bool has_no_file_ = false;
  std::size_t in_file_ = 0;  // bytes that the file holds
  std::string tail_;         // what follows them
};

// The same as a gzip file (RFC 1952).
std::shared_ptr<const SpooledText> gzip(const SpooledText& text, const std::filesystem::path& folder);

}  // namespace lowrank::server
