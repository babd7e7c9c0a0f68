#include "server/queue/failure.h"

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

}  // namespace

std::shared_ptr<Outcome> failure(const std::exception_ptr& thrown) {
  try {
    std::rethrow_exception(thrown);
  } catch (const Refusal& refusal) {
    return Outcome::of(JobState::kFailed, refusal.status(), refusal.detail());
  } catch (const Error& error) {
    if (error.code() == kCancelled) return Outcome::of(JobState::kCancelled, 409, "cancelled");
    return Outcome::of(JobState::kFailed, http_status(error.code()), error.what());
  } catch (const std::filesystem::filesystem_error& error) {
    return Outcome::of(JobState::kFailed, 500, file_error(error).what());
  } catch (const std::bad_alloc&) {
    return Outcome::of(JobState::kFailed, 500, kNoMemory);
  } catch (const std::exception& error) {
    // libtorch's messages go on with a backtrace, and its allocator has no exception type of its own.
    const std::string_view text = error.what();
    if (text.find("can't allocate memory") != std::string_view::npos)
      return Outcome::of(JobState::kFailed, 500, kNoMemory);
    return Outcome::of(JobState::kFailed, 500, std::string(text.substr(0, text.find('\n'))));
  }
}

}  // namespace lowrank::server
