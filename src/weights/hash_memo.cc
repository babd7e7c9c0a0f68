#include "weights/hash_memo.h"

#include <fmt/format.h>

#include <algorithm>
#include <cctype>
#include <string_view>

#include "base/atomic_file.h"
#include "base/error.h"
#include "base/file_identity.h"

namespace lowrank::weights {
namespace {

constexpr std::size_t kDigits = 64, kMostLines = 500;
constexpr std::int64_t kLeastBytes = 64 << 20;

// What a line begins with; "" for what is no large file.
std::string line_of(const std::filesystem::path& file) {
  const FileIdentity identity = lowrank::identity_of(file);
  return identity.size < kLeastBytes ? "" : identity.text() + " ";
}

std::string text_of(const std::filesystem::path& memo) {
  try {
    return read_file(memo, 1 << 20);
  } catch (const Error&) {
    return "";
  }
}

}  // namespace

std::string HashMemo::find(const std::filesystem::path& file) const {
  const std::string identity = memo_.empty() ? "" : line_of(file);
  if (identity.empty()) return "";
  const std::string text = "\n" + text_of(memo_);
  const auto at = text.find("\n" + identity);
  if (at == std::string::npos) return "";
  const std::string hex = text.substr(at + 1 + identity.size(), kDigits);
  const bool is_whole =
      hex.size() == kDigits && text.compare(at + 1 + identity.size() + kDigits, 1, "\n") == 0;
  return is_whole && std::ranges::all_of(hex, [](unsigned char c) { return std::isxdigit(c) != 0; }) ? hex
                                                                                                     : "";
}

void HashMemo::keep(const std::filesystem::path& file, const std::string& hex) const {
  const std::string identity = memo_.empty() || hex.size() != kDigits ? "" : line_of(file);
  if (identity.empty()) return;
  std::string text = identity + hex + "\n";
  std::size_t lines = 1;
  const std::string before = text_of(memo_);
  for (std::string_view rest = before; !rest.empty() && lines < kMostLines;) {
    const std::string_view line = rest.substr(0, rest.find('\n'));
    rest.remove_prefix(std::min(rest.size(), line.size() + 1));
    if (line.starts_with(identity)) continue;
    text += fmt::format("{}\n", line);
    ++lines;
  }
  try {
    write_file(memo_, text);
  } catch (const Error&) {
    return;  // the next start computes the hash again
  }
}

}  // namespace lowrank::weights
