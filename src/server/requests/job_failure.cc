#include "server/requests/job_failure.h"

#include <filesystem>
#include <new>
#include <string>
#include <string_view>

#include "base/error.h"
#include "base/file_error.h"
#include "server/http/refusal.h"

namespace lowrank::server {
namespace {

constexpr std::string_view kNoMemory = "out of memory; use a smaller size or batch.";

struct StatusRow {
  Cause cause;
  int status;
};
// Of rows with one status the first stands for it, when a handler's refusal becomes the end of a job.
constexpr StatusRow kStatuses[] = {
    {Cause::kNone, 200},     {Cause::kBadInput, 422},  {Cause::kUnknownName, 400}, {Cause::kNotFound, 404},
    {Cause::kConflict, 409}, {Cause::kCancelled, 409}, {Cause::kStopped, 503},     {Cause::kInternal, 500},
};

Cause cause_of(int status) {
  for (const StatusRow& row : kStatuses)
    if (row.status == status) return row.cause;
  return Cause::kInternal;
}

}  // namespace

int http_status(Cause cause) {
  for (const StatusRow& row : kStatuses)
    if (row.cause == cause) return row.status;
  return 500;
}

std::shared_ptr<Outcome> failure(const std::exception_ptr& thrown) {
  try {
    std::rethrow_exception(thrown);
  } catch (const Refusal& refusal) {
    return Outcome::of(JobState::kFailed, cause_of(refusal.status()), refusal.detail());
  } catch (const Error& error) {
    if (error.code() == kCancelled) return Outcome::of(JobState::kCancelled, Cause::kCancelled, "cancelled");
    return Outcome::of(JobState::kFailed, cause_of(http_status(error.code())), error.what());
  } catch (const std::filesystem::filesystem_error& error) {
    return Outcome::of(JobState::kFailed, Cause::kInternal, file_error(error).what());
  } catch (const std::bad_alloc&) {
    return Outcome::of(JobState::kFailed, Cause::kInternal, kNoMemory);
  } catch (const std::exception& error) {
    // libtorch's messages go on with a backtrace, and its allocator has no exception type of its own.
    const std::string_view text = error.what();
    if (text.find("can't allocate memory") != std::string_view::npos)
      return Outcome::of(JobState::kFailed, Cause::kInternal, kNoMemory);
    return Outcome::of(JobState::kFailed, Cause::kInternal, std::string(text.substr(0, text.find('\n'))));
  }
}

}  // namespace lowrank::server
