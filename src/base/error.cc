#include "base/error.h"

#include <string_view>

namespace lowrank {

Error Error::during(const std::string& doing) const {
  return Error(code_, "while {}: {}", doing, message_);
}

int exit_status(ErrorCode code) {
  switch (code) {
    case kBadInput:
    case kNotFound:
    case kUnsupported:
    case kConflict:
      return 2;
    case kCancelled:
      return 130;
    case kIo:
    case kInternal:
      return 1;
  }
  return 1;
}

void fail_check(const char* condition, const char* file, int line) {
  std::string_view name(file);
  if (const auto at = name.rfind("src/"); at != std::string_view::npos) name.remove_prefix(at);
  throw Error(kInternal, "internal error: {} is violated at {}:{}; please report this.", condition, name,
              line);
}

}  // namespace lowrank
