#include "server/http/kept_text.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "base/error.h"

namespace lowrank::server {

KeptText::KeptText(std::string text, const std::filesystem::path& folder)
    : size_(text.size()), descriptor_(::open(folder.c_str(), O_TMPFILE | O_RDWR | O_CLOEXEC, 0600)) {
  std::size_t done = 0;
  while (descriptor_ >= 0 && done < text.size()) {
    const ssize_t wrote = ::write(descriptor_, text.data() + done, text.size() - done);
    if (wrote > 0) {
      done += static_cast<std::size_t>(wrote);
    } else if (errno != EINTR) {
      ::close(descriptor_);  // a full disk, most likely
      descriptor_ = -1;
    }
  }
  if (descriptor_ < 0) text_ = std::move(text);
}

KeptText::~KeptText() {
  if (descriptor_ >= 0) ::close(descriptor_);
}

std::string KeptText::read(std::size_t from, std::size_t length) const {
  length = std::min(length, size_ - std::min(from, size_));
  if (descriptor_ < 0) return text_.substr(from, length);
  std::string out(length, '\0');
  for (std::size_t done = 0; done < length;) {
    const ssize_t got =
        ::pread(descriptor_, out.data() + done, length - done, static_cast<off_t>(from + done));
    if (got > 0) {
      done += static_cast<std::size_t>(got);
    } else if (got == 0 || errno != EINTR) {
      throw Error(kIo, "a kept list cannot be read again ({}).",
                  got == 0 ? "it is cut off" : std::strerror(errno));
    }
  }
  return out;
}

}  // namespace lowrank::server
