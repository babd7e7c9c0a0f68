#include "cli/infotext_source.h"

#include <filesystem>

#include "base/atomic_file.h"
#include "base/error.h"
#include "image/codec.h"
#include "prompt/text.h"

namespace lowrank::cli {

namespace fs = std::filesystem;

std::string infotext_of(const std::string& file_or_text) {
  std::error_code failure;
  // Long prompts are no file names, and asking the system for one is an error of its own.
  if (file_or_text.size() > 4096 || !fs::is_regular_file(file_or_text, failure)) return file_or_text;
  const std::string extension = prompt::lower(fs::path(file_or_text).extension().string());
  if (extension == ".txt") return read_file(file_or_text, 1 << 20);
  const auto text = image::load_parameters(file_or_text);
  if (!text)
    throw Error(kBadInput, "{}: holds no settings; only pictures saved with theirs do.", file_or_text);
  return *text;
}

}  // namespace lowrank::cli
