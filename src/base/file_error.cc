#include "base/file_error.h"

namespace lowrank {

Error file_error(const std::filesystem::filesystem_error& error) {
  return {kIo, "{}: cannot be used ({}).", error.path1().empty() ? "a file" : error.path1().string(),
          error.code().message()};
}

}  // namespace lowrank
