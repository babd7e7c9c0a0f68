#include "server/http/spooled_text.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

#include "base/error.h"
#include "server/http/gzip.h"

namespace lowrank::server {
namespace {

constexpr std::size_t kPiece = std::size_t{1} << 18;  // bytes written, and kept in memory, at a time

}  // namespace

SpooledText::SpooledText(std::filesystem::path folder) : folder_(std::move(folder)) {}

SpooledText::~SpooledText() {
  if (descriptor_ >= 0) ::close(descriptor_);
}

void SpooledText::append(std::string_view text) {
  tail_ += text;
  if (tail_.size() >= kPiece && !has_no_file_) write_tail();
}

void SpooledText::write_tail() {
  if (descriptor_ < 0) descriptor_ = ::open(folder_.c_str(), O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
  std::size_t done = 0;
  while (descriptor_ >= 0 && done < tail_.size()) {
    const ssize_t wrote =
        ::pwrite(descriptor_, tail_.data() + done, tail_.size() - done, static_cast<off_t>(in_file_ + done));
    if (wrote > 0)
      done += static_cast<std::size_t>(wrote);
    else if (errno != EINTR)
      break;
  }
  if (descriptor_ >= 0 && done == tail_.size()) {
    in_file_ += done;
    tail_.clear();
    return;
  }
  // No such file, or a full disk: on with it in memory.
  has_no_file_ = true;
  if (descriptor_ < 0) return;
  tail_.insert(0, read_file(0, in_file_));
  in_file_ = 0;
  ::close(std::exchange(descriptor_, -1));
}

std::string SpooledText::read(std::size_t from, std::size_t length) const {
  from = std::min(from, size());
  length = std::min(length, size() - from);
  const std::size_t of_file = from < in_file_ ? std::min(length, in_file_ - from) : 0;
  std::string out = of_file > 0 ? read_file(from, of_file) : std::string();
  if (of_file < length) out += std::string_view(tail_).substr(from + of_file - in_file_, length - of_file);
  return out;
}

std::string SpooledText::read_file(std::size_t from, std::size_t length) const {
  std::string out(length, '\0');
  for (std::size_t done = 0; done < length;) {
    const ssize_t got =
        ::pread(descriptor_, out.data() + done, length - done, static_cast<off_t>(from + done));
    if (got > 0) {
      done += static_cast<std::size_t>(got);
    } else if (got == 0 || errno != EINTR) {
      throw Error(kIo, "a stored list cannot be read ({}).",
                  got == 0 ? "it is truncated" : std::strerror(errno));
    }
  }
  return out;
}

std::shared_ptr<const SpooledText> gzip(const SpooledText& text, const std::filesystem::path& folder) {
  auto packed = std::make_shared<SpooledText>(folder);
  std::size_t at = 0;
  gzip(
      [&] {
        std::string piece = text.read(at, kPiece);
        at += piece.size();
        return piece;
      },
      [&](std::string_view piece) { packed->append(piece); });
  return packed;
}

}  // namespace lowrank::server
