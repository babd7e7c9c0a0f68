#include "server/queue/end_journal.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <optional>
#include <string_view>

#include "server/queue/job_store.h"

namespace lowrank::server {
namespace {

// One slot holds "ID STATE CAUSE DETAIL" with zeros behind it; earlier releases wrote the HTTP status of the end in the
// cause's place. The engine takes no further job that it cannot note, so that a few are enough.
constexpr std::size_t kSlotBytes = 512, kSlots = 16, kBytes = kSlotBytes * kSlots;

bool write_all(int descriptor, const std::string& bytes) {
  return ::pwrite(descriptor, bytes.data(), bytes.size(), 0) == static_cast<ssize_t>(bytes.size());
}

std::string slot_of(const LateEnd& end) {
  std::string detail = json_text(end.outcome->detail);
  const std::string head =
      fmt::format("{} {} {} ", end.id, job_state_name(end.outcome->state), cause_name(end.outcome->cause));
  if (head.size() + detail.size() >= kSlotBytes) detail = "\"its end could not be saved\"";
  std::string slot = head + detail;
  slot.resize(kSlotBytes, '\0');
  return slot;
}

std::optional<Cause> cause_in(JobState state, std::string_view word) {
  int status = 0;
  const auto [end, problem] = std::from_chars(word.data(), word.data() + word.size(), status);
  if (problem == std::errc{} && end == word.data() + word.size()) return cause_of_status(state, status);
  return cause_named(word);
}

// nullopt: an empty slot, or one that was cut off.
std::optional<LateEnd> end_in(const std::string& slot) {
  const std::string text = slot.substr(0, slot.find('\0'));
  const auto first = text.find(' '), second = text.find(' ', first + 1), third = text.find(' ', second + 1);
  if (first == std::string::npos || second == std::string::npos || third == std::string::npos)
    return std::nullopt;
  const auto state = job_state_from_name(text.substr(first + 1, second - first - 1));
  const Json detail = Json::parse(text.substr(third + 1), nullptr, false);
  if (!state || !is_end(*state) || detail.is_discarded()) return std::nullopt;
  const auto cause = cause_in(*state, text.substr(second + 1, third - second - 1));
  if (!cause) return std::nullopt;
  return LateEnd{text.substr(0, first), Outcome::of(*state, *cause, detail)};
}

}  // namespace

EndJournal::EndJournal(const std::filesystem::path& file) {
  descriptor_ = ::open(file.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  struct stat status {};
  if (descriptor_ < 0 || ::fstat(descriptor_, &status) != 0) return;
  if (status.st_size >= static_cast<off_t>(kBytes)) return;
  if (write_all(descriptor_, std::string(kBytes, '\0')) && ::fsync(descriptor_) == 0) return;
  ::close(descriptor_);
  ::unlink(file.c_str());
  descriptor_ = -1;
}

EndJournal::~EndJournal() {
  if (descriptor_ >= 0) ::close(descriptor_);
}

std::vector<LateEnd> EndJournal::read() const {
  std::string bytes(kBytes, '\0');
  std::vector<LateEnd> ends;
  if (descriptor_ < 0 || ::pread(descriptor_, bytes.data(), bytes.size(), 0) <= 0) return ends;
  for (std::size_t i = 0; i < kSlots; ++i)
    if (auto end = end_in(bytes.substr(i * kSlotBytes, kSlotBytes))) ends.push_back(std::move(*end));
  return ends;
}

bool EndJournal::keep(const std::vector<LateEnd>& ends) const {
  std::string bytes;
  for (const LateEnd& end : ends)
    if (bytes.size() < kBytes) bytes += slot_of(end);
  bytes.resize(kBytes, '\0');
  return descriptor_ >= 0 && write_all(descriptor_, bytes) && ::fdatasync(descriptor_) == 0 &&
         ends.size() <= kSlots;
}

}  // namespace lowrank::server
