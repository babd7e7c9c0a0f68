// The one exception type of LowRank: a code, from which exit status and HTTP status follow, and one sentence for
// the user: which file or field, what is wrong, what to do. Lower rooms state the fact, upper rooms add context
// with during(). Our own bugs are not Errors of the user: LOWRANK_CHECK throws kInternal with its place.
#pragma once

#include <fmt/format.h>

#include <exception>
#include <string>
#include <utility>

namespace lowrank {

enum class ErrorCode { kBadInput, kNotFound, kUnsupported, kConflict, kIo, kCancelled, kInternal };
using enum ErrorCode;

class Error : public std::exception {
 public:
  template <typename... Args>
  Error(ErrorCode code, fmt::format_string<Args...> format, Args&&... args)
      : code_(code), message_(fmt::format(format, std::forward<Args>(args)...)) {}

  ErrorCode code() const { return code_; }
  const char* what() const noexcept override { return message_.c_str(); }

  // The same error with "while DOING: " in front. `doing` is a gerund phrase: "reading LoRA 'foxes'".
  Error during(const std::string& doing) const;

 private:
  ErrorCode code_;
  std::string message_;
};

// 2 for what the user can mend in the request (kBadInput, kNotFound, kUnsupported, kConflict), 130 for kCancelled, else 1.
int exit_status(ErrorCode code);

[[noreturn]] void fail_check(const char* condition, const char* file, int line);

}  // namespace lowrank

// Guards what only a bug of ours can break; stays on in release builds.
#define LOWRANK_CHECK(condition) \
  ((condition) ? static_cast<void>(0) : ::lowrank::fail_check(#condition, __FILE__, __LINE__))
